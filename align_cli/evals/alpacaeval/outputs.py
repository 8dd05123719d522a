"""Lists of outputs, as `model_outputs.json` has them: a JSON list, or JSON lines, of instruction and output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from align_cli.errors import DataError, Problem
from align_cli.evals.alpacaeval.evaluation_set import id_of, question_of
from align_cli.evals.benchmark import Question, Reference

_MOST_SHOWN = 5


def read_rows(path: Path, demanded: Sequence[str], what: str) -> list[Mapping[str, Any]]:
    """The rows of a JSON list, or of JSON lines; each has the demanded fields, which are texts.

    Args:
        path: The file.
        demanded: Names of fields.
        what: What the rows are, for messages.

    Raises:
        DataError: it cannot be read, or rows lack something; they are named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise DataError(f"{path}: cannot be read: {getattr(cause, 'strerror', None) or cause}") from None
    try:
        rows = (
            json.loads(text) if text.lstrip()[:1] == "[" else [json.loads(line) for line in text.splitlines() if line]
        )
    except (ValueError, RecursionError) as cause:
        raise DataError(f"{path}: this is no JSON: {cause}", hint=f"expected: a list of {what}") from None
    problems = [
        Problem(wrong, f"row {number}") for number, row in enumerate(rows, start=1) if (wrong := _wrong(row, demanded))
    ]
    if problems or not rows:
        more = [Problem(f"and {len(problems) - _MOST_SHOWN} more")] if len(problems) > _MOST_SHOWN else []
        raise DataError(
            f"{path}: these are no {what}" if problems else f"{path}: there are no {what} in it",
            problems=[*problems[:_MOST_SHOWN], *more],
            hint=f"each row has the texts {', '.join(demanded)}",
        )
    return rows


def one_name(path: Path, rows: Sequence[Mapping[str, Any]], field: str) -> str:
    """The only value of a field.

    Raises:
        DataError: there are several.
    """
    names = list(dict.fromkeys(str(row[field]) for row in rows))
    if len(names) > 1:
        shown = ", ".join(f'"{name}"' for name in names[:_MOST_SHOWN])
        raise DataError(f'{path}: the rows have several values of "{field}": {shown}', hint="give a file for each")
    return names[0]


def read_questions(path: Path) -> list[Question]:
    """Instructions of the user's own; `dataset`, where a row has it, is the category.

    Raises:
        DataError: the file is damaged; all of what is wrong is named.
    """
    found: dict[int | str, Question] = {}
    for row in read_rows(path, ("instruction",), "instructions"):
        question = question_of(row["instruction"], row["dataset"] if isinstance(row.get("dataset"), str) else "")
        found.setdefault(question.id, question)
    return list(found.values())


def read_reference(path: Path) -> Reference:
    """Outputs that models are held against; `generator` names them, else the file's name.

    Raises:
        DataError: the file is damaged, or gives one instruction twice.
    """
    rows = read_rows(path, ("instruction", "output"), "outputs")
    name = (
        one_name(path, rows, "generator")
        if all(isinstance(row.get("generator"), str) and row["generator"].strip() for row in rows)
        else path.stem
    )
    answers: dict[int | str, Sequence[str]] = {}
    for number, row in enumerate(rows, start=1):
        found = id_of(row["instruction"])
        if found in answers and answers[found] != (row["output"],):
            raise DataError(f"{path}: row {number} has another output for an instruction of an earlier row")
        answers[found] = (row["output"],)
    return Reference(name=name, answers=answers)


def _wrong(row: Any, demanded: Sequence[str]) -> str:
    if not isinstance(row, Mapping):
        return f"is a {type(row).__name__}, not an object"
    missing = [name for name in demanded if not isinstance(row.get(name), str)]
    return f"has no text {', '.join(missing)}" if missing else ""
