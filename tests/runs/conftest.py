"""Recipes and prepared data without tokens: what the run directory needs to know of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from align_cli.recipe.schema import Launch, Mixture, Recipe, Source
from align_cli.tasks.task import Prepared

MakeRecipe = Callable[..., Recipe]
MakePrepared = Callable[..., Prepared]


@pytest.fixture
def make_recipe(tmp_path: Path) -> MakeRecipe:
    """`make_recipe(key=value, …)`: a resolved recipe whose `output_dir` is `tmp_path/out`."""

    def make(
        *,
        text: str = "output_dir: out\n",
        env: Mapping[str, str] | None = None,
        mixture: Mixture | None = None,
        profile: str = "align",
        task: str = "sft",
        **values: Any,
    ) -> Recipe:
        return Recipe(
            task=task, path="r.yaml", text=text, overrides=("learning_rate=1e-4",),
            values={"model_name_or_path": "org/base", "output_dir": f"{tmp_path}/out", "learning_rate": 1e-4, **values},
            defaults={"seed": 42, "num_train_epochs": 3.0, "save_steps": 500},
            mixture=mixture or Mixture(sources=(Source(path="rows.jsonl"),)),
            launch=Launch(), profile=profile, behaviours={}, env=env or {}, origins={}, notes=(),
        )  # fmt: skip

    return make


@pytest.fixture
def make_prepared(tmp_path: Path) -> MakePrepared:
    """`make_prepared(digest)`: prepared data with a small report."""

    def make(digest: str = "d1") -> Prepared:
        report = {
            "mixture": {
                "digest": "m" * 64,
                "sources": [{"label": "chat", "path": "org/chat", "available": 10, "kept": 8}],
            },
            "rows": {"train": 8, "eval": 0},
            "tokens": {"train": 100, "in_loss": 40, "share_in_loss": 0.4},
            "truncated": 1,
            "max_length": 64,
        }
        return Prepared(
            folder=tmp_path / "store", digest=digest, num_train=8, num_eval=0, report=report, from_store=False
        )

    return make


@pytest.fixture(autouse=True)
def _no_lock_outlives_a_test():
    yield
    from align_cli.runs import directory

    for path in list(directory._held):
        directory.release(path)
