"""alpaca_eval's two lists as they lie on the disk: what a file holds, and how one is written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from align_cli.errors import DataError, Problem
from align_cli.evals.alpacaeval.outputs import read_rows

OUTPUTS, ANNOTATIONS, LEADERBOARD = "model_outputs.json", "annotations.json", "leaderboard.csv"
RESULTS, CONFIGS = "results", "src/alpaca_eval/models_configs"

Kind = Literal["outputs", "annotations"]
Row = Mapping[str, Any]

_DEMANDED: Mapping[Kind, tuple[str, ...]] = {
    "outputs": ("instruction", "output"),
    "annotations": ("instruction", "output_1", "generator_1", "output_2", "generator_2", "annotator"),
}
#: A field that rows of one kind have and those of the other have not. A damaged row may lack one of them.
_MARKS: Mapping[str, Kind] = {
    "output_2": "annotations",
    "output_1": "annotations",
    "preference": "annotations",
    "output": "outputs",
}
_MOST_SHOWN = 5


def read(path: Path) -> tuple[Kind, Sequence[Row]]:
    """What a file holds, by its first row, and all its rows; `preference` is there in every annotation.

    Raises:
        DataError: it is neither, or rows lack something; they are named.
    """
    first = read_rows(path, ("instruction",), "outputs or annotations")[0]
    kind = next((its for mark, its in _MARKS.items() if mark in first), None)
    if kind is None:
        raise DataError(
            f"{path}: these are no files of alpaca_eval: its first row has none of the fields {', '.join(_MARKS)}",
            hint=f"give {OUTPUTS} or {ANNOTATIONS}",
        )
    demanded = _DEMANDED[kind]
    if kind == "outputs" and "generator" in first:
        demanded = (*demanded, "generator")
    rows = read_rows(path, demanded, kind)
    demand(path, [Problem(wrong, place(n)) for n, row in enumerate(rows, start=1) if (wrong := _wrong(row, demanded))])
    if kind == "annotations":
        lacking = [n for n, row in enumerate(rows, start=1) if "preference" not in row]
        demand(path, [Problem('has no "preference", not even null', place(number)) for number in lacking])
    return kind, rows


def place(number: int) -> str:
    """A row's place in messages; counted from 1."""
    return f"row {number}"


def demand(path: Path, problems: Sequence[Problem]) -> None:
    """See that nothing is wrong with a file.

    Raises:
        DataError: something is; the first few are shown.
    """
    hint = "correct the file, or take such rows out"
    if len(problems) == 1:
        raise DataError(f"{path}: {problems[0]}", hint=hint)
    if problems:
        more = [Problem(f"and {len(problems) - _MOST_SHOWN} more")] if len(problems) > _MOST_SHOWN else []
        what = f"{path}: {len(problems)} of its rows cannot be taken"
        raise DataError(what, problems=[*problems[:_MOST_SHOWN], *more], hint=hint)


def text_of(rows: Sequence[Row]) -> str:
    """Rows as a file has them: a list, indented by two, in ASCII; null for numbers that JSON has no word for."""
    return json.dumps(_finite(list(rows)), indent=2, allow_nan=False) + "\n"


def _wrong(row: Row, texts: Sequence[str]) -> str:
    """JSON can write half of a character that takes two; no file of ours could hold it."""
    for name in (*texts, "dataset"):
        value = row.get(name)
        if isinstance(value, str):
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                return f'"{name}" holds half a character (a lone surrogate)'
    return ""


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
