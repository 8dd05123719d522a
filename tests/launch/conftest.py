"""Recipes and machines to plan for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from align_cli.launch.host import Gpu, Host
from align_cli.recipe.schema import Launch, Mixture, Origin, Recipe

DEFAULTS = {
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 3.0,
    "max_steps": -1,
    "warmup_steps": 0,
    "eval_strategy": "no",
    "save_strategy": "steps",
    "save_steps": 500,
    "logging_steps": 10,
    "bf16": None,
    "use_cpu": False,
    "dataloader_drop_last": False,
    "dtype": "float32",
}


def make_recipe(
    *, profile: str = "align", env: dict[str, str] | None = None, launch: Launch | None = None, **values: Any
) -> Recipe:
    """A recipe in which the given values were chosen, each in a line of `r.yaml`."""
    return Recipe(
        task="sft",
        path="r.yaml",
        text="",
        overrides=(),
        values=values,
        defaults=DEFAULTS,
        mixture=Mixture(),
        launch=launch or Launch(),
        profile=profile,
        behaviours={},
        env=env or {},
        origins={key: Origin("file", f"r.yaml:{line}") for line, key in enumerate(values, 1)},
        notes=(),
    )


@pytest.fixture
def recipe() -> Callable[..., Recipe]:
    """The same for tests that take it as a fixture."""
    return make_recipe


@pytest.fixture
def laptop() -> Host:
    return Host(cpus=2, memory_bytes=8 << 30, packages=frozenset({"tensorboard", "peft"}))


@pytest.fixture
def workstation() -> Host:
    packages = frozenset({"bitsandbytes", "flash_attn", "liger_kernel", "tensorboard", "wandb", "peft"})
    gpus = (Gpu("Card A", 80 << 30, (9, 0)), Gpu("Card B", 80 << 30, (9, 0)))
    return Host(cpus=16, memory_bytes=128 << 30, gpus=gpus, torch_cuda="13.0", packages=packages)
