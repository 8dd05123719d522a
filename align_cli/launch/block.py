"""The `launch:` block as it will be used: a preset and a file of accelerate folded in below what the recipe says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from align_cli.errors import AlignError, Problem, RecipeError
from align_cli.launch import presets
from align_cli.launch.accelerate.read import Foreign, read
from align_cli.recipe import blocks, checks_launch, overrides, paths
from align_cli.recipe.provenance import Key
from align_cli.recipe.schema import Launch, Note, Origin, Recipe


def settled(recipe: Recipe) -> Recipe:
    """The recipe with its launch block decided; a settled one comes back as it is.

    What the recipe or the command line says wins over the accelerate file, and that over the preset; `origins` says
    which it was. Of an accelerate file the trainer's keys and variables are taken, too, where the recipe is silent.

    Raises:
        RecipeError: with everything that is wrong with the block, the file or the preset's name.
    """
    problems: list[Problem] = []
    layers = [_own(recipe)]
    foreign = _foreign(recipe, problems)
    if foreign is not None:
        layers.append(_layer("accelerate", foreign.launch, foreign.places, problems))
    layers += _preset(recipe, problems)
    result = _folded(recipe, layers)
    if foreign is not None:
        result = _with_foreign(result, foreign)
    found, notes = checks_launch.of_recipe(result)
    problems += [problem for problem in found if problem not in problems]
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        typed = {str(origin) for origin in recipe.origins.values() if origin.kind == "command line"}
        whom = overrides.whose(recipe.path, problems, typed)
        raise RecipeError(f"{whom} has {count}", problems=dict.fromkeys(problems))
    return replace(result, notes=tuple(dict.fromkeys([*result.notes, *notes])))


@dataclass(frozen=True, slots=True)
class _Layer:
    """Words of the block that one place says, with their origins."""

    values: Mapping[str, Any]
    origins: Mapping[str, Origin]


def _own(recipe: Recipe) -> _Layer:
    words = [word for word in Launch.__slots__ if f"launch.{word}" in recipe.origins]
    words += [word for word in Launch.__slots__ if getattr(recipe.launch, word) != getattr(Launch(), word)]
    origins = {word: recipe.origins.get(f"launch.{word}", Origin("default")) for word in words}
    return _endpoint(_Layer({word: getattr(recipe.launch, word) for word in origins}, origins))


def _layer(
    kind: Literal["accelerate", "preset"], tree: Mapping[str, Any], places: Mapping[str, str], problems: list[Problem]
) -> _Layer:
    def where(key: Key) -> str:
        return places.get(".".join(map(str, key)), "")

    launch, found, unread = blocks.launch(dict(tree), where, ())
    problems += found
    words = [word for word in tree if word in Launch.__slots__ and word not in unread]
    origins = {word: Origin(kind, where(("launch", word))) for word in words}
    return _endpoint(_Layer({word: getattr(launch, word) for word in words}, origins))


def _endpoint(layer: _Layer) -> _Layer:
    """`rendezvous` as address and port as well."""
    found = checks_launch.endpoint(layer.values.get("rendezvous") or "")
    if found is None:
        return layer
    said = {"main_process_ip": found.host, "main_process_port": found.port}
    new = {word: value for word, value in said.items() if layer.values.get(word) is None}
    origin = layer.origins["rendezvous"]
    return _Layer({**layer.values, **new}, {**layer.origins, **dict.fromkeys(new, origin)})


def _foreign(recipe: Recipe, problems: list[Problem]) -> Foreign | None:
    name = recipe.launch.accelerate_config
    if name is None:
        return None
    origin = recipe.origins.get("launch.accelerate_config", Origin("default"))
    folder = Path(origin.place.rpartition(":")[0]).parent if origin.kind in ("file", "extends") else None
    try:
        return read(Path(paths.found(name, folder)).expanduser(), name)
    except AlignError as error:
        problems += error.problems or (Problem(error.message, str(origin), error.hint),)
        return None


def _preset(recipe: Recipe, problems: list[Problem]) -> Iterator[_Layer]:
    name = recipe.launch.preset
    if name is None:
        return
    try:
        preset = presets.read(name)
    except AlignError as error:
        where = str(recipe.origins.get("launch.preset", ""))
        problems.append(Problem(f"launch.preset: {error.message}", where, error.hint))
        return
    places = {f"launch.{word}": preset.place(word) for word in preset.body}
    yield _layer("preset", preset.body, places, problems)


def _folded(recipe: Recipe, layers: list[_Layer]) -> Recipe:
    values: dict[str, Any] = {}
    origins = dict(recipe.origins)
    for layer in layers:
        strategy = values.get("strategy", layer.values.get("strategy", "auto"))
        for word, value in layer.values.items():
            if word not in values and (layer is layers[0] or _belongs(word, value, strategy)):
                values[word] = value
                origins[f"launch.{word}"] = layer.origins[word]
    return replace(recipe, launch=Launch(**values), origins=origins)


def _belongs(word: str, value: Any, strategy: str) -> bool:
    """Whether a lower layer's value still has a meaning once another strategy was chosen above it."""
    if word == "offload":
        return value in checks_launch.OFFLOADS[strategy]
    if word in ("num_processes", "num_machines") and strategy == "single":
        return value in (1, "auto")
    return True


def _with_foreign(recipe: Recipe, foreign: Foreign) -> Recipe:
    """What has to reach the trainer, where the recipe is silent; where it is not, a note if the two differ."""
    values, origins, env = dict(recipe.values), dict(recipe.origins), dict(recipe.env)
    notes = [*recipe.notes, *foreign.notes]
    chosen = set(recipe.values)
    precision = chosen & {"bf16", "fp16"}
    for key, value in foreign.trainer.items():
        origin = Origin("accelerate", foreign.places.get(key, ""))
        if recipe.origins.get(key) == origin or key not in recipe.defaults or not _is_for(key, recipe, foreign):
            continue
        if key == "fsdp_config" and isinstance(values.get(key), dict | None):
            values[key] = {**value, **(values.get(key) or {})}
            origins.setdefault(key, origin)
        elif key in chosen or (key in ("bf16", "fp16") and precision):
            said = key if key in chosen else min(precision)
            if values[said] != value or said != key:
                message = f"{key}: {_shown(value)} is not taken: the recipe says {said}: {_shown(values[said])}"
                notes.append(Note("launch.accelerate_config", message, origin.place))
        else:
            values[key], origins[key] = value, origin
    for name, value in foreign.env.items():
        env.setdefault(name, value)
    return replace(recipe, values=values, origins=origins, env=env, notes=tuple(dict.fromkeys(notes)))


def _is_for(key: str, recipe: Recipe, foreign: Foreign) -> bool:
    """Whether a key still has a meaning: those of a strategy go with it."""
    if key == "fsdp_config":
        return recipe.launch.strategy == "fsdp"
    return key != "deepspeed" or recipe.launch.strategy == foreign.launch.get("strategy")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
