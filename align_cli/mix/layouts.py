"""Which layout a source's rows have: recognised from their columns and values, or named in the recipe.

The facts are in `layouts.toml`; this module is the only one that reads them.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from align_cli.recipe.schema import Source

#: Words that hold turns where the layout is about turns, or may hold either turns or text.
_TURNS = ("messages",)
_TURNS_OR_TEXT = ("prompt", "completion")
#: A few rows are enough to see a layout, and a first row that is bad must not hide it.
NUM_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to spell what we train on; see layouts.toml."""

    name: str
    kind: str
    summary: str
    needs: Mapping[str, tuple[str, ...]]
    may: Mapping[str, tuple[str, ...]]
    role: tuple[str, ...]
    content: tuple[str, ...]
    roles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fit:
    """A layout and the columns and keys of one source that fill it."""

    layout: Layout
    picks: Mapping[str, str]
    """Our word -> column."""
    role: str = "role"
    content: str = "content"
    turns: bool = True
    """Whether prompt and completion are lists of turns; text otherwise."""

    @property
    def shape(self) -> str:
        """`messages`, `pair_turns`, `pair_text` or `text`: what the rows become."""
        if self.layout.kind == "prompt_completion":
            return "pair_turns" if self.turns else "pair_text"
        return self.layout.kind


class LayoutError(Exception):
    """No layout fits; `tried` says why, one line for each."""

    def __init__(self, message: str, tried: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.tried = tuple(tried)
        self.hint = hint


@cache
def layouts() -> Mapping[str, Layout]:
    """Every layout by name, in the order in which they are tried."""
    table = tomllib.loads((files(__package__) / "layouts.toml").read_text(encoding="utf-8"))
    return {
        name: Layout(
            name,
            spec["kind"],
            spec["summary"],
            {word: tuple(columns) for word, columns in spec["needs"].items()},
            {word: tuple(columns) for word, columns in spec["may"].items()},
            tuple(spec.get("role", ())),
            tuple(spec.get("content", ())),
            spec.get("roles", {}),
        )
        for name, spec in table.items()
    }


def recognise(rows: Sequence[Mapping[str, Any]], source: Source, kinds: Iterable[str]) -> Fit:
    """The first layout that fits some sample rows and gives one of `kinds`.

    Raises:
        LayoutError: none fits, the named one does not exist or does not fit, or `columns` names what is not there.
    """
    kinds = tuple(kinds)
    present = list(dict.fromkeys(column for row in rows for column in row))
    if source.keep_columns:
        present = [column for column in present if column in source.keep_columns]
    turn_words = ("role", "content")
    absent = [column for word, column in source.columns.items() if column not in present and word not in turn_words]
    if absent:
        raise LayoutError(
            f'there is no column "{absent[0]}", which columns: names', hint=f"the columns are {_listed(present)}"
        )
    candidates = [layout for layout in layouts().values() if layout.kind in kinds]
    if source.layout and source.layout not in TEXT_LAYOUTS:
        candidates = [_named(source.layout, kinds)]
    words = {word for layout in candidates for word in (*layout.needs, *layout.may)} | set(turn_words)
    for word in source.columns:
        if word not in words:
            near = difflib.get_close_matches(word, words, n=1)
            raise LayoutError(
                f'columns: names "{word}", which no layout here has',
                hint=f"did you mean {near[0]}?" if near else f"the words are {', '.join(sorted(words))}",
            )
    tried = []
    for layout in candidates:
        fit = _fit(layout, rows, present, source)
        if isinstance(fit, Fit):
            return fit
        tried.append(f"{layout.name} ({layout.summary}): {fit}")
    if {"chosen", "rejected"} <= set(present):
        hint = "these look like preference pairs, which a preference task such as dpo trains on"
    elif kinds == ("text",):
        hint = "name the column: columns: {text: YOUR_COLUMN}"
    else:
        hint = "name the columns, e.g. columns: {prompt: THEIRS, completion: THEIRS} or columns: {messages: THEIRS}"
    raise LayoutError(f"the rows fit no layout; their columns are {_listed(present)}", tried, hint)


#: Layout names that say how a text file becomes rows; their rows then have the layout `text`.
TEXT_LAYOUTS = ("lines", "paragraphs", "documents")


def unpacked(value: Any) -> Any:
    """A list or object that a cell holds as JSON text; every other value as it is."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _named(name: str, kinds: Sequence[str]) -> Layout:
    known = layouts()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"layouts: {', '.join([*known, *TEXT_LAYOUTS])}"
        raise LayoutError(f'there is no layout "{name}"', hint=hint)
    if known[name].kind not in kinds:
        raise LayoutError(
            f'the layout "{name}" gives {known[name].kind} rows, and this task trains on {" or ".join(kinds)}'
        )
    return known[name]


def _fit(layout: Layout, rows: Sequence[Mapping[str, Any]], present: Sequence[str], source: Source) -> Fit | str:
    """How the layout fits, or why it does not."""
    picks: dict[str, str] = {}
    role = content = ""
    turns = False
    for word, names in layout.needs.items():
        if word in source.columns:
            options = [source.columns[word]]
        else:
            options = [name for name in names if name in present]
        if not options:
            return f"no column {' or '.join(names[:3])}"
        reason = ""
        for column in options:
            values = [value for row in rows if (value := unpacked(row.get(column))) is not None]
            if word in _TURNS or (word in _TURNS_OR_TEXT and any(isinstance(value, list) for value in values)):
                keys = _turn_keys(layout, values, source)
                if isinstance(keys, str):
                    reason = reason or f'"{column}" {keys}'
                    continue
                role, content = keys
                turns = True
            elif values and not any(isinstance(value, str) for value in values):
                reason = reason or f'"{column}" holds {_kind(values[0])}, not text'
                continue
            picks[word] = column
            reason = ""
            break
        if reason:
            return reason
    for word, names in layout.may.items():
        chosen = source.columns.get(word) or next((name for name in names if name in present), None)
        if chosen and chosen not in picks.values():
            picks[word] = chosen
    return Fit(layout, picks, role or "role", content or "content", turns)


def _turn_keys(layout: Layout, values: Sequence[Any], source: Source) -> tuple[str, str] | str:
    """The turns' keys for role and content, or why these are no turns of the layout."""
    lists = [value for value in values if isinstance(value, list)]
    if values and not lists:
        return f"holds {_kind(values[0])}, not a list of turns"
    turns = [turn for value in lists for turn in value if isinstance(turn, dict)]
    if not turns:
        if any(lists):
            return f"is a list whose items are {_kind(next(turn for value in lists for turn in value))}, not turns"
        return layout.role[0], layout.content[0]  # empty lists only: the rows are bad, not the layout
    keys = list(dict.fromkeys(key for turn in turns for key in turn))
    found = []
    for word, names in (("role", layout.role), ("content", layout.content)):
        names = (source.columns[word],) if word in source.columns else names
        name = next((name for name in names if name in keys), None)
        if name is None:
            return f"has turns with {_listed(keys)}, not {' or '.join(names)}"
        found.append(name)
    return found[0], found[1]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "something else"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "") if names else "none"
