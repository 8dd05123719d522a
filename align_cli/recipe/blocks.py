"""Our own blocks (`mixture:`, `launch:`) from a tree to values, every problem with its place."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from align_cli.errors import Problem
from align_cli.recipe.decode import WrongType, typed
from align_cli.recipe.fields import Field, fields_of
from align_cli.recipe.provenance import Key, dotted
from align_cli.recipe.schema import Launch, Mixture, Source

Where = Callable[[Key], str]
_SCHEMA = "align_cli.recipe.schema"

#: Words that other tools use inside a data block -> what they are called here.
_FOREIGN: Mapping[str, str] = {
    "id": "path",
    "dataset": "path",
    "dataset_name": "path",
    "subset": "config",
    "weight": "fraction",
    "ratio": "fraction",
    "proportion": "fraction",
    "probability": "fraction",
    "num_samples": "rows",
    "num_rows": "rows",
    "samples": "rows",
    "max_samples": "rows",
    "limit": "rows",
    "format": "layout",
    "type": "layout",
    "datasets": "sources",
    "train": "sources",
    "test": "eval",
    "validation": "eval",
    "test_size": "held_out",
    "test_split_size": "held_out",
    "val_size": "held_out",
}


def block_keys(name: str) -> frozenset[str]:
    """Words that a block knows, for telling a key in the wrong block from an unknown one."""
    parts = {"mixture": ("Mixture", "Source"), "launch": ("Launch",)}[name]
    return frozenset(key for part in parts for key in _fields(part))


def mixture(tree: Any, where: Where, known: Iterable[str]) -> tuple[Mixture, list[Problem]]:
    """The `mixture:` block; `known` are the flat keys, to recognise one that is in the wrong place."""
    reader = _Reader(where, frozenset(known))
    return reader.mixture(tree), reader.problems


def launch(tree: Any, where: Where, known: Iterable[str]) -> tuple[Launch, list[Problem]]:
    """The `launch:` block."""
    reader = _Reader(where, frozenset(known))
    values = reader.values(tree if tree is not None else {}, ("launch",), "Launch", frozenset())
    return Launch(**values), reader.problems


def _fields(name: str) -> dict[str, Field]:
    return fields_of((f"{_SCHEMA}:{name}",))


class _Reader:
    def __init__(self, where: Where, known: frozenset[str]) -> None:
        self.where, self.known = where, known
        self.problems: list[Problem] = []
        self.shares = False

    def mixture(self, tree: Any) -> Mixture:
        key: Key = ("mixture",)
        if isinstance(tree, str | list):
            tree = {"sources": tree}
        values = self.values(tree, key, "Mixture", frozenset({"sources", "eval"}))
        if isinstance(tree, dict):
            self.shares = tree.get("combine") == "trl"  # their sum counts, not their size
            for name in ("sources", "eval"):
                values[name] = self._sources(tree.get(name), (*key, name))
        result = Mixture(**values)
        self._check(result, key)
        return result

    def values(self, tree: Any, key: Key, name: str, skip: frozenset[str]) -> dict[str, Any]:
        """Typed values of one dataclass; what does not fit is a problem and left out."""
        if not isinstance(tree, dict):
            self._problem(key, f"{dotted(key)} must be a mapping")
            return {}
        fields, result = _fields(name), {}
        for word, value in tree.items():
            inner = (*key, word)
            if word in skip:
                continue
            if word not in fields:
                self._unknown(inner, str(word), fields)
                continue
            field = fields[word]
            if value is None and field.default is not None:
                continue  # `fraction:` with nothing after it
            try:
                result[word] = typed(field, value)
            except WrongType as error:
                self._problem(inner, f"{dotted(inner)}: expected {error}")
        return {word: tuple(value) if isinstance(value, list) else value for word, value in result.items()}

    def _sources(self, tree: Any, key: Key) -> tuple[Source, ...]:
        if tree is None:
            return ()
        items = tree if isinstance(tree, list) else [tree]
        sources = []
        for index, item in enumerate(items):
            inner = (*key, index) if isinstance(tree, list) else key
            if isinstance(item, str):
                sources.append(Source(path=item))
                continue
            before = len(self.problems)
            values = self.values(item, inner, "Source", frozenset())
            path = values.get("path")
            if not path:
                if len(self.problems) == before:
                    self._problem(inner, f"{dotted(inner)} has no path", "path: FILE, folder or Hub id")
                continue
            self._check_source(values, inner)
            sources.append(Source(**values))
        return tuple(sources)

    def _check_source(self, values: Mapping[str, Any], key: Key) -> None:
        fraction, rows = values.get("fraction"), values.get("rows")
        if fraction is not None and not 0 <= fraction <= (math.inf if self.shares else 1):
            more = fraction > 1
            hint = f"rows: {int(fraction)} takes that many rows" if more and float(fraction).is_integer() else ""
            said = "a source is never repeated: at most 1" if more else "at least 0"
            self._problem((*key, "fraction"), f"fraction is {fraction}, {said}", hint)
        if rows is not None and rows < 1:
            self._problem((*key, "rows"), f"rows is {rows}, at least 1")
        if fraction is not None and rows is not None:
            self._problem((*key, "rows"), "fraction and rows both say how much to take", "keep one of the two")

    def _check(self, mixture: Mixture, key: Key) -> None:
        if not mixture.sources and not self.problems:
            hint = "mixture.sources: a list of files, folders or Hub ids"
            self._problem((*key, "sources"), "there are no rows to train on", hint)
        held_out = mixture.held_out
        if held_out is None:
            return
        if held_out <= 0:
            self._problem((*key, "held_out"), f"held_out is {held_out}, more than 0", "remove it to hold out nothing")
        elif held_out >= 1 and float(held_out) != int(held_out):
            self._problem((*key, "held_out"), f"held_out is {held_out}: below 1 a share, from 1 on a whole number")

    def _unknown(self, key: Key, word: str, fields: Mapping[str, Field]) -> None:
        block = str(key[0])
        if word in _FOREIGN and _FOREIGN[word] in fields:
            hint = f"{_FOREIGN[word]} is what it is called here"
            if word in {"weight", "ratio", "proportion", "probability"}:
                hint = "fraction is the share of a source's own rows, rows a count"
        elif word in self.known:
            self._problem(key, f"{word} does not belong in {block}:", f"{word}: … at the left margin, outside {block}:")
            return
        else:
            near = difflib.get_close_matches(word, fields, n=2, cutoff=0.7)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(fields)}"
        self._problem(key, f"unknown key {dotted(key)}", hint)

    def _problem(self, key: Key, message: str, hint: str = "") -> None:
        self.problems.append(Problem(message, self.where(key), hint))
