"""What a cell of a row holds: turns, text, a verdict, a dialogue. Used to recognise layouts and to read rows alike."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from align_cli.mix.layout import dialogue

_TRUE = ("true", "yes", "1", "1.0")
_FALSE = ("false", "no", "0", "0.0")


def unpacked(value: Any) -> Any:
    """A list or object that a cell holds as JSON text; every other value as it is."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def turns_in(value: Any, role_keys: Sequence[str]) -> list[Any] | None:
    """A cell's turns: a list, one turn, or either as JSON text; None when the cell is no turns.

    Text that merely is JSON stays text: its objects must have a role to be turns.
    """
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [value]
    if isinstance(value, str) and value[:1] in ("[", "{"):
        found = unpacked(value)
        found = [found] if isinstance(found, dict) else found
        if isinstance(found, list) and found and all(_is_turn(item, role_keys) for item in found):
            return found
    return None


def _is_turn(value: Any, role_keys: Sequence[str]) -> bool:
    return isinstance(value, dict) and any(key in value for key in role_keys)


def flag(value: Any) -> bool | None:
    """True or false, as people write it in data (also 0, 1, "true"); None for everything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def unlike(form: str, cells: Sequence[Any]) -> str | None:
    """Why none of a column's cells is a `flag`, a `winner`, a `dialogue` or a `text`; None when some are."""
    if not cells:
        return None
    first = cells[0]
    if form == "flag":
        if any(flag(cell) is not None for cell in cells):
            return None
        return f"holds {kind(first)}{_quoted(first)}, not true or false"
    if form == "winner":
        return f"holds {kind(first)}, no name of a column" if isinstance(first, (list, dict)) else None
    if not any(isinstance(cell, str) for cell in cells):
        return f"holds {kind(first)}, not text"
    if form == "dialogue" and not any(isinstance(cell, str) and dialogue.is_dialogue(cell) for cell in cells):
        return "holds text that does not begin with Human:"
    return None


def flat(items: Iterable[Any]) -> Iterator[Any]:
    """The items, those of lists among them one by one."""
    for item in items:
        if isinstance(item, list):
            yield from item
        else:
            yield item


def numbered_prefix(columns: Sequence[str], wanted: str | None) -> str:
    """What numbered columns are called before their numbers: as `wanted` (NAME*), else the only ones; "" for none."""
    if wanted is not None:
        prefix = wanted.removesuffix("*")
        return prefix if len(numbered(columns, prefix)) > 1 else ""
    stems = {match[1] for column in columns if (match := re.fullmatch(r"(.*?)\d+", column))}
    found = [stem for stem in stems if len(numbered(columns, stem)) > 1]
    return found[0] if len(found) == 1 else ""


def numbered(columns: Iterable[str], prefix: str) -> list[str]:
    """The columns whose name is the prefix and a number, by number."""
    ends = [(column[len(prefix) :], column) for column in columns if column.startswith(prefix)]
    return [column for _, column in sorted((int(end), column) for end, column in ends if end.isdecimal())]


def kind(value: Any) -> str:
    """What a value is, in a word or two."""
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "something else"


def named(value: Any) -> str:
    """What a value is, for a sentence about a row; numbers are shown."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"the number {value}"
    return "null" if value is None else kind(value) if kind(value) != "something else" else type(value).__name__


def listed(names: Sequence[str]) -> str:
    """The first dozen names."""
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "") if names else "none"


def _quoted(value: Any) -> str:
    return f' "{value[:20]}"' if isinstance(value, str) else f" ({value})" if isinstance(value, (int, float)) else ""
