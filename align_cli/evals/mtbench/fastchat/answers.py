"""`model_answer/MODEL.jsonl`: a row a question, with all its turns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from align_cli.errors import DataError
from align_cli.evals.benchmark import Answer, Answers
from align_cli.evals.mtbench.fastchat import rows
from align_cli.evals.mtbench.fastchat.rows import ANSWERS, ERROR, Malformed, Row
from align_cli.files import digest_of

_FIELDS = {"question_id", "answer_id", "model_id", "choices", "tstamp"}
#: Texts that FastChat stores where there is no answer: of an endpoint, and of a model that ran out of memory.
_NO_ANSWERS = {ERROR: "FastChat got no answer from the endpoint", "ERROR": "FastChat's model failed"}
#: shortuuid's, which FastChat makes its ids with.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ID_LENGTH = 22


class AnswerFile(NamedTuple):
    """What a file holds."""

    model: str
    answers: dict[int | str, list[Answer]]
    notes: list[str]
    """What of it was not taken, in words."""


class _Line(NamedTuple):
    model: str
    question_id: int | str
    answers: list[Answer]
    num_choices: int
    others: set[str]


def read_answers(path: Path) -> AnswerFile:
    """A model's answers.

    In a folder `model_answer` the model is named by the file, as FastChat's judge names it; elsewhere by the rows.
    Of several rows for a question the last counts, of several choices the first, as in FastChat.

    Raises:
        DataError: a row is malformed, or the file has none, or those of several models.
    """
    lines = rows.read(path, _line)
    names = list(dict.fromkeys(line.model for line in lines))
    if not lines:
        raise DataError(f"{path}: there are no answers in it")
    if path.parent.name == ANSWERS:
        model = path.stem
    elif len(names) > 1:
        raise DataError(f"{path}: it holds answers of several models: {', '.join(names)}", hint="a file is one model's")
    else:
        model = names[0]
    answers = {line.question_id: line.answers for line in lines}
    return AnswerFile(model, answers, list(_notes(path.name, model, names, lines)))


def rows_of(model: str, answers: Answers) -> list[Row]:
    """A model's answers as FastChat's rows, sorted by id. Where there is no answer stands `$ERROR$`, as there."""
    return [
        {
            "question_id": question,
            "answer_id": _answer_id(model, question, texts),
            "model_id": model,
            "choices": [{"index": 0, "turns": texts}],
            "tstamp": answers[question][-1].tstamp,
        }
        for question in sorted(answers, key=lambda one: (isinstance(one, str), one))
        if (texts := [answer.text if answer.is_one else answer.text or ERROR for answer in answers[question]])
    ]


def _line(row: Row) -> _Line:
    question, model = rows.take_id(row), rows.take(row, "model_id", str)
    choices = rows.take(row, "choices", list)
    if not choices or not isinstance(choices[0], dict):
        raise Malformed('"choices" holds no answer')
    turns = rows.take(choices[0], "turns", list)
    if not turns or not all(isinstance(text, str) for text in turns):
        raise Malformed('"choices[0].turns" is no list of texts')
    tstamp = rows.take(row, "tstamp", float) if "tstamp" in row else 0.0
    answers = [
        Answer(
            question_id=question,
            turn=turn,
            text=text,
            state="failed" if text in _NO_ANSWERS else "ok",
            why=_NO_ANSWERS.get(text, ""),
            tstamp=tstamp,
        )
        for turn, text in enumerate(turns, start=1)
    ]
    return _Line(model, question, answers, len(choices), set(row) - _FIELDS)


def _notes(name: str, model: str, names: list[str], lines: list[_Line]) -> Iterator[str]:
    if names != [model]:
        yield f"{name}: its rows name the model {', '.join(names)}; the file's name counts, as in FastChat"
    if again := len(lines) - len({line.question_id for line in lines}):
        yield f"{name}: rows for a question that has a later row: {again}; the later counts"
    if more := sum(line.num_choices > 1 for line in lines):
        yield f"{name}: rows with several choices: {more}; the first counts"
    if others := set().union(*(line.others for line in lines)):
        yield f"{name}: fields that are not kept: {', '.join(sorted(others))}"


def _answer_id(model: str, question: int | str, texts: list[str]) -> str:
    """An id that looks like FastChat's and is the same whenever the answer is."""
    value = int(digest_of([model, question, texts])[:32], 16)
    letters = []
    for _ in range(_ID_LENGTH):
        value, place = divmod(value, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(letters)
