"""Old and foreign words of a recipe, translated by the table in `renames.toml`, one note a key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from align_cli.errors import Problem
from align_cli.recipe.fields import Field
from align_cli.recipe.provenance import Key

DROP = "@drop"


@dataclass(slots=True)
class Layer:
    """One file's, or the command line's, contribution to a recipe; `where` tells a key's place."""

    tree: dict[str, Any]
    where: Callable[[Key], str]
    env: dict[str, str] = field(default_factory=dict)
    moved: dict[Key, Key] = field(default_factory=dict)
    """Today's key -> the key it was written under, where they differ."""
    old: set[str] = field(default_factory=set)
    """Old words that were used."""
    notes: list[tuple[str, str, str]] = field(default_factory=list)
    """(key, message, where)"""
    problems: list[Problem] = field(default_factory=list)

    def note(self, key: str, message: str) -> None:
        """Say something about a key of this layer, once."""
        entry = (key, message, self.where(self.moved.get((key,), (key,))))
        if entry not in self.notes:
            self.notes.append(entry)


@dataclass(frozen=True, slots=True)
class Rename:
    """One line of the table."""

    old: str
    new: str = ""
    into: str = ""
    env: str = ""
    ignore: str = ""
    special: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@cache
def table() -> dict[str, Rename]:
    """Old word -> what becomes of it."""
    return {entry["old"]: Rename(**entry) for entry in _document()["rename"]}


def translate(layer: Layer, fields: Mapping[str, Field], task: str) -> None:
    """Rewrite the layer's old words in place. A word that is a field of the task is never old."""
    for word in list(layer.tree):
        rename = table().get(word)
        if rename is not None and word not in fields:
            layer.old.add(word)
            _apply(layer, rename, layer.tree.pop(word), fields)
    for entry in _document()["value"]:
        if entry["key"] in layer.tree and task in entry.get("tasks", [task]):
            _translate_value(layer, entry)


def target_of(word: str, fields: Collection[str]) -> str:
    """Today's word for an old one, empty when it has none."""
    rename = table().get(word)
    if rename is None or word in fields:
        return ""
    if rename.special == "warmup_ratio":
        return "warmup_steps"
    return rename.new or rename.into


#: Options of the commands that take recipes, for those who mistype one.
_OPTIONS = ("--dry-run", "--defaults", "--adapt", "--restart", "--json", "--help")


def suggestion(word: str, known: Collection[str]) -> str:
    """What an unknown word was probably meant to be: words used elsewhere first, then near spellings."""
    plain = word.replace("-", "_").lower()
    for meant in _words().get(plain, ()):
        if meant.partition(".")[0] in known or meant.startswith("--"):
            return f"{meant} is what it is called here"
    options = {option.strip("-").replace("-", "_"): option for option in _OPTIONS}
    near = difflib.get_close_matches(plain, [*known, *options], n=2, cutoff=0.75)
    return f"did you mean {' or '.join(options.get(word, word) for word in near)}?" if near else ""


def meant(word: str, known: Collection[str]) -> list[str]:
    """Keys that an unknown word may have been meant to be."""
    plain = word.replace("-", "_").lower()
    return [*_words().get(plain, ()), *difflib.get_close_matches(plain, list(known), n=2, cutoff=0.75)]


def shown(value: Any) -> str:
    """A value as YAML spells it, for tables and messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _apply(layer: Layer, rename: Rename, value: Any, fields: Mapping[str, Field]) -> None:
    word = rename.old
    if rename.ignore:
        layer.note(word, f"{word} is ignored: {rename.ignore}")
        return
    if rename.special:
        _SPECIAL[rename.special](layer, word, value, fields)
        return
    if rename.env:
        if value is not None and value != []:
            layer.env[rename.env] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            layer.note(word, f"{word} becomes the environment variable {rename.env}")
        else:
            layer.note(word, f"{word} is null and ignored")
        return
    translated: Any = rename.values.get(shown(value), value)
    if translated == DROP:
        layer.note(word, f"{word}: {shown(value)} is the default and left out")
        return
    if rename.into:
        outer, _, inner = rename.into.partition(".")
        holder = layer.tree.setdefault(outer, {})
        if isinstance(holder, dict):
            holder.setdefault(inner, translated)
        layer.moved[(outer, inner)] = (word,)
        layer.moved.setdefault((outer,), (word,))
        layer.note(word, f"{word} is {rename.into} today")
        return
    chained = table().get(rename.new)
    if chained is not None and rename.new not in fields and rename.new != "dataset_mixer":
        _apply(layer, replace(chained, old=word), translated, fields)  # it was the first word that was written
        return
    _put(layer, word, rename.new, translated)
    told = f"{word} is called {rename.new} today"
    if translated != value:
        told = f"{word}: {shown(value)} is {rename.new}: {shown(translated)} today"
    layer.note(word, told)


def _put(layer: Layer, word: str, new: str, value: Any) -> None:
    if new in layer.tree and new not in {to for key in layer.moved for to in key[:1]}:
        if layer.tree[new] != value:
            said = f"{word}: {shown(value)} and {new}: {shown(layer.tree[new])} are two words for one thing"
            layer.problems.append(Problem(said, layer.where((word,)), f"keep {new}"))
        return
    layer.tree[new] = value
    layer.moved[(new,)] = (word,)


def _warmup_ratio(layer: Layer, word: str, value: Any, fields: Mapping[str, Field]) -> None:
    if value is None:
        layer.note(word, "warmup_ratio is null and ignored")
        return
    try:
        ratio = float(value)
    except (TypeError, ValueError):
        layer.problems.append(Problem(f"warmup_ratio: expected a number, not {shown(value)}", layer.where((word,))))
        return
    steps = layer.tree.get("warmup_steps")
    if isinstance(steps, int | float) and steps:
        layer.note(word, f"warmup_ratio is ignored: warmup_steps: {steps} has always won over it")
        return
    if not 0 <= ratio < 1:
        said = f"warmup_ratio is {ratio}, from 0 to below 1"
        layer.problems.append(Problem(said, layer.where((word,)), "warmup_steps takes a number of steps"))
        return
    layer.tree["warmup_steps"] = ratio if ratio else 0
    layer.moved[("warmup_steps",)] = (word,)
    layer.note(word, f"warmup_ratio is warmup_steps: {shown(layer.tree['warmup_steps'])} today (below 1: a share)")


def _rpo_alpha(layer: Layer, word: str, value: Any, fields: Mapping[str, Field]) -> None:
    if value is None or "loss_weights" not in fields:
        layer.note(word, "rpo_alpha is ignored: it has no effect here")
        return
    loss = layer.tree.get("loss_type", "sigmoid")
    losses = [loss] if isinstance(loss, str) else list(loss)
    try:
        weights = [1.0] * len(losses) + [float(value)]
    except (TypeError, ValueError):
        layer.problems.append(Problem(f"rpo_alpha: expected a number, not {shown(value)}", layer.where((word,))))
        return
    layer.tree["loss_type"] = [*losses, "sft"]
    layer.tree["loss_weights"] = weights
    layer.moved[("loss_type",)] = layer.moved[("loss_weights",)] = (word,)
    layer.note(word, f"rpo_alpha is loss_type: {layer.tree['loss_type']} with loss_weights: {weights} today")


def _reference_free(layer: Layer, word: str, value: Any, fields: Mapping[str, Field]) -> None:
    if shown(value).lower() != "true" or "sync_ref_model" not in fields:
        layer.note(word, "reference_free is ignored: it has no effect here")
        return
    said = "reference_free: true: trl has no DPO without a reference any more, and with one another method is trained"
    hint = "remove it to train against the reference; align train orpo needs none"
    layer.problems.append(Problem(said, layer.where((word,)), hint))


_SPECIAL = {"warmup_ratio": _warmup_ratio, "rpo_alpha": _rpo_alpha, "reference_free": _reference_free}


def _translate_value(layer: Layer, entry: Mapping[str, Any]) -> None:
    key, old = entry["key"], entry["from"]
    value = layer.tree[key]
    items = value if isinstance(value, list) else [value]
    if value == [] and old == "":
        items = [""]
    if old not in [shown(item) for item in items]:
        return
    if "to" in entry:
        changed = [entry["to"] if shown(item) == old else item for item in items]
        layer.tree[key] = changed if isinstance(value, list) and value else changed[0]
        layer.note(key, f"{key}: {old or '[]'} is {entry['to']} today ({entry['note']})")
    else:
        layer.note(key, f"{key}: {old}: {entry['note']}")


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "renames.toml").read_text(encoding="utf-8"))


@cache
def _words() -> dict[str, list[str]]:
    text = (Path(__file__).parent / "words.toml").read_text(encoding="utf-8")
    words: dict[str, list[str]] = tomllib.loads(text)["words"]
    return words
