"""Split expressions such as `train`, `train[:10%]` and `train+test`, and which files of a folder are which split.

The rules are those of `datasets` (its split expressions and file patterns), so that a folder means the same here
as there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

_EXPRESSION = re.compile(
    r"(?P<name>\w+(?:\.\w+)*)(?:\[(?:(?P<start>-?[\d_]+)(?P<start_percent>%)?)?:(?:(?P<stop>-?[\d_]+)(?P<stop_percent>%)?)?\])?"
)
_SHARDED = re.compile(r"^(?P<name>\w+(?:\.\w+)*)-\d{5}-of-\d{5}\.")
_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}


@dataclass(frozen=True, slots=True)
class Slice:
    """One term of a split expression: a split's name and the part of it that is wanted."""

    name: str
    start: int | None = None
    stop: int | None = None
    percent: bool = False

    def bounds(self, num_rows: int) -> tuple[int, int]:
        """First row and the row after the last, for a split of `num_rows` rows; percentages go to the nearest row."""

        def row(value: int | None, otherwise: int) -> int:
            if value is None:
                return otherwise
            absolute = round(value * num_rows / 100.0) if self.percent else value
            return min(max(absolute + num_rows, 0) if absolute < 0 else absolute, num_rows)

        start, stop = row(self.start, 0), row(self.stop, num_rows)
        return start, max(start, stop)


def parse(expression: str) -> tuple[Slice, ...]:
    """The terms of a split expression, in order.

    Raises:
        ValueError: it is none; the message says what one looks like.
    """
    terms = []
    for text in expression.split("+"):
        match = _EXPRESSION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f'"{expression}" is not a split; write train, train[:1000], train[:10%] or train+test')
        start, stop = (int(match[end]) if match[end] else None for end in ("start", "stop"))
        terms.append(Slice(match["name"], start, stop, bool(match["start_percent"] or match["stop_percent"])))
    return tuple(terms)


def of_files(names: Sequence[str]) -> dict[str, list[str]]:
    """Split name -> its files, for relative POSIX paths; {} when the names tell no splits.

    In order of precedence, as `datasets` does: `NAME-00000-of-00001.*`, folders called train or test, files called so.
    Unlike there, words that only few of many files have are no splits: one `…-training.jsonl` among a hundred topics
    would hide the other ninety-nine.
    """
    sharded: dict[str, list[str]] = {}
    for name in names:
        if match := _SHARDED.match(PurePosixPath(name).name):
            sharded.setdefault(match["name"], []).append(name)
    if sharded:
        return sharded
    for place in (slice(0, -1), slice(-1, None)):  # the folders, then the file
        found: dict[str, list[str]] = {}
        for split, keywords in _KEYWORDS.items():
            for name in names:
                if any(
                    word in keywords
                    for part in PurePosixPath(name).parts[place]
                    for word in re.split(r"[-._ 0-9]+", part)
                ):
                    found.setdefault(split, []).append(name)
        if 2 * sum(len(members) for members in found.values()) >= len(names):
            return found
    return {}


def files_for(split: str, names: Sequence[str]) -> list[str]:
    """Files of a folder that make up `split`: by the folder's splits, else by a file's or a folder's own name."""
    by_split = of_files(names)
    if split in by_split:
        return by_split[split]
    return [
        name
        for name in names
        if PurePosixPath(name).name.split(".")[0] == split or split in PurePosixPath(name).parts[:-1]
    ]
