"""What is read statically equals the real dataclasses of the installed packages."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from pathlib import Path

import pytest

from align_cli.recipe.checks import TRACKERS
from align_cli.recipe.decode import kinds_of
from align_cli.recipe.fields import EXTRA_CHOICES, fields_of

CONFIGS = [
    "trl.trainer.sft_config:SFTConfig",
    "trl.trainer.dpo_config:DPOConfig",
    "trl.experimental.orpo.orpo_config:ORPOConfig",
    "trl.trainer.model_config:ModelConfig",
]
pytestmark = pytest.mark.slow


def _real(config: str) -> type:
    module, _, name = config.partition(":")
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, type)
    return found


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path))


@pytest.mark.parametrize("config", CONFIGS)
def test_names_and_their_order_are_the_dataclass_s(config: str) -> None:
    real = [field.name for field in dataclasses.fields(_real(config)) if field.init]

    assert list(fields_of((config,))) == real


@pytest.mark.parametrize("config", CONFIGS)
def test_every_static_default_is_the_real_one(config: str) -> None:
    read = fields_of((config,))
    computed = []
    for field in dataclasses.fields(_real(config)):
        if not field.init:
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if read[field.name].static:
            assert read[field.name].default == default, field.name
        else:
            computed.append(field.name)

    assert set(computed) <= {"optim"}


@pytest.mark.parametrize("config", CONFIGS)
def test_every_type_admits_what_the_real_type_admits(config: str) -> None:
    real = _real(config)
    hints = typing.get_type_hints(real)
    for name, field in fields_of((config,)).items():
        kinds = kinds_of(field.annotation)
        parts = set(typing.get_args(hints[name]) or (hints[name],))
        for part in list(parts):
            if typing.get_origin(part) is typing.Literal:
                parts |= {type(value) for value in typing.get_args(part)}
        assert ("none" in kinds) == (type(None) in parts), name
        for kind in (bool, int, float):
            assert (kind.__name__ in kinds) == (kind in parts), name


@pytest.mark.parametrize("config", CONFIGS)
def test_every_choice_is_one_that_upstream_accepts(config: str) -> None:
    real = {field.name: field for field in dataclasses.fields(_real(config))}
    for name, field in fields_of((config,)).items():
        declared = real[name].metadata.get("choices")
        if declared is not None:
            assert set(field.choices) == set(declared), name


def test_choices_written_down_here_are_upstream_s() -> None:
    from transformers.training_args import trainer_log_levels

    assert set(EXTRA_CHOICES["log_level"]) == set(trainer_log_levels)


def test_trackers_are_those_of_the_installed_transformers() -> None:
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert set(INTEGRATION_TO_CALLBACK) | {"all", "none"} == TRACKERS
