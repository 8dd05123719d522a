"""What an evaluation's folder brings with it where it is not the benchmark's own: questions, and reference answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.errors import DataError, UsageError
from align_cli.evals import records, shapes
from align_cli.evals.benchmark import Question, Reference

QUESTIONS, REFERENCES = "questions.jsonl", "references"
_RESTORE = "restore the file from a copy"
_LONGEST = 80  # characters of a file's name


def questions(folder: Path, digest: str | None = None) -> list[Question] | None:
    """The questions, where there is a list of them; None where there is none.

    Args:
        folder: The evaluation's.
        digest: Sha256 of the list as it was written, where that is known: then there has to be one.

    Raises:
        DataError: it is damaged, changed, or gone.
    """
    place = folder / QUESTIONS
    if not place.exists():
        if digest is not None:
            raise DataError(f"{place}: the questions that were asked are gone", hint=_RESTORE)
        return None
    if digest is not None and place.is_file() and files.digest_of_file(place) != digest:
        raise DataError(f"{place}: these are not the questions that were asked: the file was changed", hint=_RESTORE)
    found = []
    for key, record in records.read(place).items():
        if wrong := shapes.fault(record, shapes.QUESTION):
            raise DataError(f'{place}: the record "{key}" is not whole: {wrong}', hint=_RESTORE)
        known = {name: record[name] for name in Question.__slots__ if name in record}
        found.append(Question(**{**known, "turns": tuple(record["turns"])}))
    return found


def keep_questions(folder: Path, asked: Sequence[Question] | None) -> None:
    """Write the list; without one, take an earlier one away."""
    if asked is None:
        (folder / QUESTIONS).unlink(missing_ok=True)
    else:
        files.write_bytes(folder / QUESTIONS, listed(asked))


def listed(asked: Sequence[Question]) -> bytes:
    """The list as it is written."""
    return b"".join(records.line_of({"key": str(one.id), **asdict(one)}) for one in asked)


def reference(folder: Path, name: str) -> Reference | None:
    """Reference answers that judges were shown; None where there are none of that name.

    Raises:
        DataError: the file cannot be read.
    """
    place = place_of(folder, name)
    try:
        found = files.read_json(place)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as cause:
        raise DataError(f"{place}: cannot be read: {cause}", hint=_RESTORE) from None
    if wrong := _fault(found):
        raise DataError(f"{place}: these are no reference answers: {wrong}", hint=_RESTORE)
    return Reference(name=name, answers={question: tuple(turns) for question, turns in found["answers"]})


def keep_reference(folder: Path, given: Reference) -> None:
    """Write down reference answers that a judge is about to be shown; to those that are there, further ones are added.

    Raises:
        UsageError: some that are there are others.
    """
    place = place_of(folder, given.name)
    there = reference(folder, given.name)
    ours = {question: tuple(turns) for question, turns in given.answers.items()}
    theirs = {} if there is None else {question: tuple(turns) for question, turns in there.answers.items()}
    changed = sum(question in ours and ours[question] != turns for question, turns in theirs.items())
    if changed:
        raise UsageError(
            f'{place}: these are other answers of "{given.name}": {changed} of {len(theirs)} differ',
            hint="verdicts beside two references of one name cannot be told apart: judge in another folder",
        )
    if there is None or ours.keys() - theirs.keys():
        every = theirs | ours
        files.write_json(place, {"name": given.name, "answers": [[key, list(turns)] for key, turns in every.items()]})


def place_of(folder: Path, name: str) -> Path:
    """The file of a reference; names that make one file's name are told apart by a digest."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    if plain != name or len(plain) > _LONGEST:
        plain = f"{plain[:_LONGEST]}-{files.digest_of(name)[:8]}"
    return folder / REFERENCES / f"{plain}.json"


def _fault(found: Any) -> str:
    if not isinstance(found, dict) or not isinstance(found.get("answers"), list):
        return 'there is no list "answers"'
    for number, pair in enumerate(found["answers"], start=1):
        is_pair = isinstance(pair, list) and len(pair) == 2
        if not is_pair or not shapes.ID.is_one(pair[0]) or not shapes.TEXTS.is_one(pair[1]):
            return f"answer {number} is not a question and a list of texts"
    return ""
