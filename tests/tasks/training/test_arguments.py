from __future__ import annotations

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
