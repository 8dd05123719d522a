"""An evaluation's folder: one model, one benchmark; what was asked, the answers, the judgments, what they come to.

::

    evaluation.json   which model, how it was asked, which questions; written before the first answer
    answers.jsonl     what the model said, a turn a line
    judgments.jsonl   what judges were sent and said, a request a line; several judges share it
    questions.jsonl   the questions, where they are not the benchmark's own
    references/       reference answers that judges were shown, where they are not the benchmark's own
    report.json       made of the three by `report`, and so is report.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.errors import DataError, Problem, UsageError
from align_cli.evals import own, records, shapes
from align_cli.evals.benchmark import Answer, Question, Reference

FACTS, ANSWERS, JUDGMENTS = "evaluation.json", "answers.jsonl", "judgments.jsonl"
REPORT, PAGE = "report.json", "report.html"
FORMAT = 1

#: Keys of `evaluation.json` that do not change what a model answers, wherever they stand.
_FREE = ("versions", "name", "prompt")


@dataclass(frozen=True)
class Evaluation:
    """An evaluation on the disk."""

    path: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        """`evaluation.json`; empty where there is none yet.

        Raises:
            DataError: it cannot be read, or is of a later version.
        """
        place = self.path / FACTS
        try:
            found = files.read_json(place)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as cause:
            raise DataError(f"{place}: cannot be read: {cause}") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise DataError(f"{place}: this is of another version of align", hint="update align, or evaluate anew")
        if wrong := shapes.fault(found, shapes.FACTS):
            raise DataError(f"{place}: this is no evaluation: {wrong}", hint="restore the file from a copy")
        return found

    @property
    def model(self) -> str:
        """The model's name in reports."""
        return str(self.facts["model"]["name"])

    @property
    def benchmark(self) -> str:
        """The benchmark's name."""
        return str(self.facts["benchmark"])

    def answers(self) -> dict[int | str, list[Answer]]:
        """What is there, by question, in the order of the turns.

        Raises:
            DataError: a record is damaged.
        """
        found: dict[int | str, list[Answer]] = {}
        for record in _whole(self.path / ANSWERS, shapes.ANSWER):
            answer = answer_of(record)
            found.setdefault(answer.question_id, []).append(answer)
        for turns in found.values():
            turns.sort(key=lambda answer: answer.turn)
        return found

    def judgments(self) -> list[dict[str, Any]]:
        """All judgments, of all judges, in the order in which they came.

        Raises:
            DataError: a record is damaged.
        """
        return _whole(self.path / JUDGMENTS, shapes.JUDGMENT)

    def questions(self) -> list[Question] | None:
        """The questions, where they are not the benchmark's own.

        Raises:
            DataError: they are damaged, changed, or gone.
        """
        return own.questions(self.path, (self.facts.get("questions") or {}).get("file"))

    def reference(self, name: str) -> Reference | None:
        """Reference answers that judges were shown, and that are not the benchmark's own; None where there are none.

        Raises:
            DataError: the file cannot be read.
        """
        return own.reference(self.path, name)

    def keep_reference(self, given: Reference) -> None:
        """Write down reference answers that a judge is about to be shown, beside those that are there.

        Raises:
            UsageError: some that are there are others.
        """
        own.keep_reference(self.path, given)

    def is_made_as(self, other: Evaluation) -> bool:
        """Whether the same model answered the same questions in the same manner, for whichever benchmark."""
        mine, its = ({**one.facts, "benchmark": ""} for one in (self, other))
        return not _differences(mine, its, "")

    def begin(self, facts: Mapping[str, Any], questions: Sequence[Question] | None = None) -> None:
        """Write down how answers are made, or see that those which are there were made in the same way.

        `questions` are kept where they are not the benchmark's own.

        Raises:
            UsageError: they were made otherwise; every difference is listed.
        """
        wanted = {"format": FORMAT, **facts}
        there = bool(records.read(self.path / ANSWERS) or records.read(self.path / JUDGMENTS))
        if there and not self.facts:
            raise DataError(
                f"{self.path}: there are answers and no {FACTS}: how they were made is not known",
                hint=f"restore {FACTS} from a copy, or make all answers anew with --restart",
            )
        if not there:  # nothing depends yet on how an earlier attempt wanted them
            own.keep_questions(self.path, questions)
            files.write_json(self.path / FACTS, wanted)
            self.__dict__.pop("facts", None)
            return
        differences = _differences(self.facts, wanted, "")
        if any(one.where.startswith("manner.") for one in differences):  # the questions' digest only follows from it
            differences = [one for one in differences if one.where != "questions.digest"]
        if differences:
            raise UsageError(
                f"{self.path}: the answers there were made otherwise",
                problems=differences,
                hint="--output-dir gives these a folder of their own; --restart makes all answers anew "
                "and keeps the old folder beside it",
            )


def of(path: Path) -> Evaluation:
    """The evaluation in a folder.

    Raises:
        UsageError: there is none.
    """
    found = Evaluation(path)
    if not found.facts:
        raise UsageError(f"{path}: there is no evaluation here", hint=f"an evaluation's folder has a {FACTS}")
    return found


def key_of(question_id: int | str, turn: int) -> str:
    """The key of an answer's record."""
    return f"{question_id}/{turn}"


def record_of(answer: Answer) -> dict[str, Any]:
    """An answer as `answers.jsonl` keeps it."""
    return {"key": key_of(answer.question_id, answer.turn), **asdict(answer)}


def answer_of(record: Mapping[str, Any]) -> Answer:
    """The same, read."""
    return Answer(**{name: record[name] for name in Answer.__slots__ if name in record})


def slug(name: str) -> str:
    """A model's name as a folder's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"


def _whole(place: Path, shape: Mapping[str, shapes.Kind]) -> list[dict[str, Any]]:
    """The records of a file. One that lacks what its kind has is named: somebody else wrote it, or changed it."""
    found = records.read(place)
    for key, record in found.items():
        if wrong := shapes.fault(record, shape):
            raise DataError(
                f'{place}: the record "{key}" is not whole: {wrong}',
                hint="restore the file from a copy, or take the line out: what it held is then done again",
            )
    return list(found.values())


def _differences(old: Any, new: Any, where: str) -> list[Problem]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            problem
            for key in dict.fromkeys([*old, *new])
            if key not in _FREE
            for problem in _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
        ]
    return [] if old == new else [Problem(f"was {_short(old)}, is now {_short(new)}", where)]


def _short(value: Any) -> str:
    text = str(value).replace("\n", "\\n")
    return text if len(text) <= 60 else text[:59] + "…"
