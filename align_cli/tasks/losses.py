"""The losses of preference tasks: what each is, and what they ask of a recipe."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from align_cli.errors import Problem
from align_cli.recipe.schema import Recipe

#: Losses of the difference of rewards, the only ones with a form for other divergences (TRL 1.16, `DPOTrainer`).
WITH_F_DIVERGENCE = frozenset({"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"})


def values_of(task: str) -> Callable[[str], Mapping[str, str]]:
    """Key -> what its values mean, for `Task.values`."""

    def values(key: str) -> Mapping[str, str]:
        found: Mapping[str, str] = _read().get(task, {}).get(key, {})
        return found

    return values


def chosen(recipe: Recipe) -> list[str]:
    """The recipe's losses."""
    asked = recipe.get("loss_type") or []
    return [asked] if isinstance(asked, str) else list(asked)


def check_reference(recipe: Recipe) -> Iterator[Problem]:
    """What contradicts the reference model; whether it can be had is asked with the model itself."""
    name = recipe.get("ref_model_name_or_path")
    if name and recipe.get("sync_ref_model"):
        said = "sync_ref_model moves the reference towards the policy, so it cannot be another model"
        yield problem(recipe, "ref_model_name_or_path", said, "remove one of the two")


def problem(recipe: Recipe, key: str, message: str, hint: str) -> Problem:
    """A problem at the place where somebody wrote `key`."""
    return Problem(message, place(recipe, key), hint)


def place(recipe: Recipe, key: str) -> str:
    """Where `key` was written, else the recipe."""
    origin = recipe.origins.get(key)
    return str(origin) if origin is not None and origin.kind != "profile" else recipe.path


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "losses.toml").read_text(encoding="utf-8"))
