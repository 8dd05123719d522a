"""The global batch when the number of processes changes: what keeps it, and what it is otherwise."""

from __future__ import annotations

from dataclasses import replace

from align_cli.errors import Problem, RecipeError, UsageError
from align_cli.recipe.overrides import whose
from align_cli.recipe.schema import Origin, Recipe


def kept(recipe: Recipe, wanted: int, data_parallel: int, *, why: str) -> Recipe:
    """The recipe with `wanted` rows per optimiser step on `data_parallel` processes that read different rows.

    `gradient_accumulation_steps` is changed, and only where that cannot do it `per_device_train_batch_size` is made
    smaller: the memory of a device never has to hold more than the recipe asked for. `why` is their new origin.

    Raises:
        RecipeError: no whole numbers do it, and a key of the recipe, `why`, asks for them.
        UsageError: no whole numbers do it.
    """
    batch, accumulation = _of(recipe)
    if wanted % data_parallel:
        near = [wanted - wanted % data_parallel, wanted + data_parallel - wanted % data_parallel]
        said = f"a global batch of {wanted} rows cannot be dealt out to {data_parallel} processes"
        hint = f"use a number of processes that divides {wanted}, or a global batch of "
        hint += " or ".join(str(size) for size in near if size)
        if (origin := recipe.origins.get(why)) is not None:
            found = [Problem(said, str(origin), hint)]
            typed = [str(origin)] if origin.kind == "command line" else []
            raise RecipeError(f"{whose(recipe.path, found, typed)} has a problem", problems=found)
        raise UsageError(said, hint=hint)
    share = wanted // data_parallel
    size = next(size for size in range(min(batch, share), 0, -1) if share % size == 0)
    changes = {
        "per_device_train_batch_size": (batch, size),
        "gradient_accumulation_steps": (accumulation, share // size),
    }
    values, origins = dict(recipe.values), dict(recipe.origins)
    for key, (before, now) in changes.items():
        if before != now:
            values[key] = now
            origins[key] = Origin("adapted", f"{why}, was {before}")
    return replace(recipe, values=values, origins=origins)


def size(recipe: Recipe, data_parallel: int) -> int:
    """Rows per optimiser step on that many processes."""
    batch, accumulation = _of(recipe)
    return batch * accumulation * data_parallel


def _of(recipe: Recipe) -> tuple[int, int]:
    return int(recipe.get("per_device_train_batch_size", 8)), int(recipe.get("gradient_accumulation_steps", 1))
