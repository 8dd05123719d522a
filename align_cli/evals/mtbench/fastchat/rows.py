"""JSON lines as FastChat writes them: read with the place of everything that is wrong, written in its spelling."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from align_cli import files
from align_cli.errors import DataError, Problem

#: The folders in FastChat's data/mt_bench.
ANSWERS, JUDGMENTS = "model_answer", "model_judgment"
#: What FastChat stores instead of an answer, or of a judge's reply, after its last attempt.
ERROR = "$ERROR$"

Kind = Literal["answers", "single", "pair"]
Row = Mapping[str, Any]
Read = TypeVar("Read")

_MARKS: dict[str, Kind] = {"choices": "answers", "g1_winner": "pair", "score": "single"}
_WORDS = {str: "a text", int: "a whole number", float: "a number", list: "a list", dict: "an object"}


class Malformed(ValueError):
    """What is wrong with a row."""


def kind_of(path: Path) -> Kind | None:
    """What a file holds, by its first row, else by its name; None: neither is FastChat's.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            first = next((line for line in file if line.strip()), b"")
    except OSError as cause:
        raise DataError(f"{path}: cannot be read: {cause.strerror}") from None
    try:
        row = _row(first)
    except Malformed:
        row = {}
    return next((kind for mark, kind in _MARKS.items() if mark in row), None) or _kind_by_name(path)


def read(path: Path, parse: Callable[[Row], Read]) -> list[Read]:
    """Every row of a file, parsed.

    Raises:
        DataError: lines that are no JSON objects, or that `parse` finds malformed; all of them.
    """
    found: list[Read] = []
    problems: list[Problem] = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as cause:
        raise DataError(f"{path}: cannot be read: {cause.strerror}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(parse(_row(line)))
        except Malformed as cause:
            problems.append(Problem(str(cause), f"{path}:{number}"))
    if len(problems) == 1:
        raise DataError(str(problems[0]), hint="correct the line, or take it out")
    if problems:
        raise DataError(f"{path}: {len(problems)} of its lines cannot be read", problems=problems)
    return found


def take(row: Row, name: str, kind: type[Read]) -> Read:
    """A field of a row, of the type it must have; a float may be written as a whole number.

    Raises:
        Malformed: it is missing, or something else.
    """
    value = row.get(name)
    if value is None:
        raise Malformed(f'"{name}" is missing')
    allowed: tuple[type, ...] = (int, float) if kind is float else (kind,)
    is_right = isinstance(value, allowed) and not isinstance(value, bool)
    if not is_right or (isinstance(value, float) and not math.isfinite(value)):
        raise Malformed(f'"{name}" is {_short(value)}, not {_WORDS[kind]}')
    return cast("Read", value)


def take_id(row: Row) -> int | str:
    """The question's id; some forks use texts."""
    return take(row, "question_id", str) if isinstance(row.get("question_id"), str) else take(row, "question_id", int)


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows in FastChat's spelling: ASCII, fields in the order given; whole or not at all."""
    files.write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def _kind_by_name(path: Path) -> Kind | None:
    if path.parent.name == ANSWERS:
        return "answers"
    kinds: tuple[Kind, ...] = ("single", "pair")
    return next((kind for kind in kinds if path.name.endswith(f"_{kind}.jsonl")), None)


def _row(line: bytes) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        raise Malformed("this line is no JSON") from None
    if not isinstance(row, dict):
        raise Malformed("this line is no JSON object")
    return row


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
