"""Recipes of our own writing, loaded with tasks of our own making."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import Problem, RecipeError
from align_cli.recipe.load import load
from align_cli.recipe.schema import Recipe
from align_cli.tasks.task import Result, RowKind, Task

_TRAINERS = {
    "sft": "trl.trainer.sft_config:SFTConfig",
    "cpt": "trl.trainer.sft_config:SFTConfig",
    "dpo": "trl.trainer.dpo_config:DPOConfig",
    "orpo": "trl.experimental.orpo.orpo_config:ORPOConfig",
}


def task(name: str = "sft") -> Task:
    rows: tuple[RowKind, ...] = ("messages",)
    configs = (_TRAINERS[name], "trl.trainer.model_config:ModelConfig", "align_cli.recipe.schema:AlignFields")
    return Task(name=name, summary=name, rows=rows, configs=configs, run=lambda context: Result(metrics={}))


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    patch = pytest.MonkeyPatch()
    patch.setenv("ALIGN_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


#: The least a recipe needs.
LEAST = "model_name_or_path: some/model\nmixture:\n  sources:\n    - path: some/data\n"

Write = Callable[..., Recipe]


@pytest.fixture
def recipe(here: Path) -> Write:
    """Write a recipe and load it: `recipe(text, *overrides, name="sft", least=True)`."""

    def write(text: str, *words: str, name: str = "sft", least: bool = True, **options: Any) -> Recipe:
        (here / "recipe.yaml").write_text((LEAST if least else "") + text, encoding="utf-8")
        return load(["recipe.yaml", *words], task(name), **options)

    return write


@pytest.fixture
def problems(recipe: Write) -> Callable[..., list[Problem]]:
    """The problems of a recipe that must not load."""

    def collect(text: str, *words: str, **options: Any) -> list[Problem]:
        with pytest.raises(RecipeError) as caught:
            recipe(text, *words, **options)
        return list(caught.value.problems)

    return collect


@pytest.fixture
def problem(problems: Callable[..., list[Problem]]) -> Callable[..., Problem]:
    """The one problem of a recipe that has exactly one."""

    def only(text: str, *words: str, **options: Any) -> Problem:
        found = problems(text, *words, **options)
        assert len(found) == 1, found
        return found[0]

    return only
