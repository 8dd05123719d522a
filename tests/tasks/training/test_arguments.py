from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from align_cli import registry
from align_cli.recipe.load import load
from align_cli.recipe.schema import Recipe
from align_cli.tasks.training import arguments

pytestmark = pytest.mark.slow


def recipe(text: str, folder: Path) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(f"model_name_or_path: m\n{text}")
    return load([str(path)], registry.get(registry.TASKS, "sft"))


@pytest.mark.parametrize(
    ("text", "on_a_gpu", "bf16"),
    [
        ("dataset_mixer: {a/b: 1}\n", True, False),
        ("dataset_mixture: {datasets: [{id: a/b}]}\n", True, None),  # upstream's default: on, without fp16
        ("mixture: a/b\n", True, None),
        ("dataset_mixture: {datasets: [{id: a/b}]}\n", False, False),
        ("dataset_mixer: {a/b: 1}\nbf16: true\n", True, True),
    ],
)
def test_sixteen_bits_are_where_the_recipe_s_own_year_had_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, on_a_gpu: bool, bf16: bool | None
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: on_a_gpu)
    made = recipe(text, tmp_path)

    decided = {**arguments._for_this_device(made), **made.values}

    assert decided.get("bf16") is bf16


def test_a_default_of_a_task_s_own_is_what_the_trainer_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin's dataclass stands before upstream's: what a dry run shows must be what trains."""
    from trl import SFTConfig

    (tmp_path / "own_defaults.py").write_text("class Fields:\n    learning_rate: float = 0.5\n    own: int = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sft = registry.get(registry.TASKS, "sft")
    path = tmp_path / "recipe.yaml"
    path.write_text("model_name_or_path: m\nmixture: a/b\n")
    task = replace(sft, configs=("own_defaults:Fields", *sft.configs))

    def config(*words: str) -> SFTConfig:
        made = load([str(path), *words], task)
        return arguments.trainer_config(SFTConfig, made, forced={}, output_dir="out", has_eval=False, say=print)

    assert config().learning_rate == 0.5
    assert config("learning_rate=0.25").learning_rate == 0.25
    assert config().weight_decay == SFTConfig.weight_decay
