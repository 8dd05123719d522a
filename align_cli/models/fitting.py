"""Whether the models that a recipe names can be used as it says; known from names, configs and headers alone."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from align_cli.errors import Problem, UsageError
from align_cli.models.adapters import chains as adapters
from align_cli.models.adapters import fits, stackable
from align_cli.models.adapters.chains import Chain
from align_cli.models.finding import headers, places
from align_cli.recipe.schema import Recipe

#: Headline over everything that can be wrong with the models that a recipe names.
UNUSABLE = "the recipe's model cannot be used"
MODEL, REFERENCE = "model_name_or_path", "ref_model_name_or_path"
#: A target that is a name, or the end of a path, and no pattern; `all-linear` is neither.
_NAME = re.compile(r"\w+(\.\w+)*")
#: Modules that a checkpoint may lack: tied heads, and the heads that a reward model is given.
_HEADS = (*fits.HEADS, "score", "classifier")
_SHOWN = 8  # modules in one hint


class Misfit(NamedTuple):
    """A problem, and the key whose value is to blame."""

    key: str
    problem: Problem


def misfits(recipe: Recipe, *, speaks: bool) -> list[Misfit]:
    """What is wrong with the recipe's models; no network, no work.

    `speaks`: what is trained is a language model. A model that does not lie on this machine is not judged.
    """
    found = [
        *_of_model(recipe, MODEL, "model_revision", speaks=speaks),
        *_of_model(recipe, REFERENCE, "ref_model_revision", speaks=speaks),
    ]
    return found or [*_of_new_adapter(recipe)]


def placed(recipe: Recipe, key: str, problem: Problem) -> Problem:
    """The problem of the model that `key` names, at the place where somebody wrote the key."""
    origin, name = recipe.origins.get(key), str(recipe.get(key))
    other = "" if problem.where in ("", key, name, str(places.here(name))) else f"{problem.where}: "
    message = problem.message.removeprefix(f"{name}: ")
    return replace(problem, message=f"{key}: {name}: {other}{message}", where=str(origin or ""))


def is_name(target: str) -> bool:
    """Whether an entry of `lora_target_modules` names modules, instead of describing them by a pattern."""
    return _NAME.fullmatch(target) is not None


def _of_model(recipe: Recipe, key: str, revision: str, *, speaks: bool) -> Iterator[Misfit]:
    name = recipe.get(key)
    if not name:
        return
    if problem := check(name):
        yield Misfit(key, placed(recipe, key, problem))
    elif speaks and (chain := _chain(recipe, key, revision)) and fits.is_scorer(chain):
        said = f"this is a classifier (a reward model): it scores answers, and {recipe.task} needs a language model"
        hint = "name the language model that it was made from"
        yield Misfit(key, placed(recipe, key, Problem(said, "", hint)))


def check(name: str) -> Problem | None:
    """What is wrong with the model or adapter `name` as far as this machine can tell; no network, no work."""
    if problem := places.check(name):
        return problem
    place = places.nearby(name)
    return adapters.problem(place, name) if place is not None else None


def _of_new_adapter(recipe: Recipe) -> Iterator[Misfit]:
    """What keeps the recipe's own adapter from being put on its model."""
    if not recipe.get("use_peft") or not (chain := _chain(recipe, MODEL, "model_revision")):
        return
    if problem := stackable.problem(chain, recipe):
        yield Misfit(MODEL, placed(recipe, MODEL, problem))
    try:
        modules = {path for name in headers.weights(chain.base.folder) if (path := name.rpartition(".")[0])}
    except UsageError:
        return
    # Of experts, transformers fuses the weights that a checkpoint keeps apart, under names of its own.
    if modules and not any("experts" in path.split(".") for path in modules):
        yield from _of_targets(recipe, modules)


def _of_targets(recipe: Recipe, modules: Collection[str]) -> Iterator[Misfit]:
    parts = sorted({part for path in modules for part in path.split(".") if not part.isdigit()})
    leaves = sorted({path.rpartition(".")[2] for path in modules})
    targets: Sequence[str] = recipe.get("lora_target_modules") or ()
    names = [target for target in targets if is_name(target)]
    if names and len(names) == len(targets) and not any(_ends(path, name) for path in modules for name in targets):
        yield _absent(recipe, "lora_target_modules", names, leaves)
    whole: Sequence[str] = recipe.get("lora_modules_to_save") or ()
    paths = {path.rsplit(".", count)[0] for path in modules for count in range(path.count(".") + 1)}
    lost = [one for one in whole if one not in _HEADS and not any(path.endswith(one) for path in paths)]
    if lost:
        yield _absent(recipe, "lora_modules_to_save", lost, [*parts, *_HEADS])


def _ends(path: str, name: str) -> bool:
    """As peft decides whether a target means a module (0.21, check_target_module_exists)."""
    return path == name or path.endswith(f".{name}")


def _absent(recipe: Recipe, key: str, names: Sequence[str], known: Sequence[str]) -> Misfit:
    near = [one for name in names for one in difflib.get_close_matches(name.rpartition(".")[2], known, 1, 0.6)]
    more = ", …" if len(known) > _SHOWN else ""
    hint = f"did you mean {', '.join(dict.fromkeys(near))}?" if near else f"it has {', '.join(known[:_SHOWN])}{more}"
    said = f"{key}: {recipe.get(MODEL)} has no module {', '.join(names)}"
    return Misfit(key, Problem(said, str(recipe.origins.get(key) or ""), hint))


def _chain(recipe: Recipe, key: str, revision: str) -> Chain | None:
    """The model that `key` names as far as it lies here; None where something of it does not, or is damaged."""
    name = str(recipe.get(key))
    place: Path | None = places.nearby(name, recipe.get(revision) if recipe.values.get(revision) else None)
    if place is None:
        return None
    try:
        return adapters.chain(place, name=name, find=places.nearby)
    except UsageError:
        return None
