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

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.errors import DataError, Problem, UsageError
from align_cli.evals import records
from align_cli.evals.benchmark import Answer, Question, Reference
from align_cli.evals.judgments import judgment_of

FACTS, ANSWERS, JUDGMENTS = "evaluation.json", "answers.jsonl", "judgments.jsonl"
QUESTIONS, REFERENCES = "questions.jsonl", "references"
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
        except (OSError, ValueError) as cause:
            raise DataError(f"{place}: cannot be read: {cause}") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise DataError(f"{place}: this is of another version of align", hint="update align, or evaluate anew")
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
        """What is there, by question, in the order of the turns."""
        found: dict[int | str, list[Answer]] = {}
        place = self.path / ANSWERS
        for key, record in records.read(place).items():
            with _named(place, key):
                answer = answer_of(record)
                _demand(answer.text, str)
                found.setdefault(answer.question_id, []).append(answer)
        for turns in found.values():
            turns.sort(key=lambda answer: answer.turn)
        return found

    def judgments(self) -> list[dict[str, Any]]:
        """All judgments, of all judges, in the order in which they came."""
        place = self.path / JUDGMENTS
        found = records.read(place)
        for key, record in found.items():
            with _named(place, key):
                judgment = judgment_of(record)
                _demand(judgment.text, str)
                _demand(judgment.score, int, float, type(None))
        return list(found.values())

    def questions(self) -> list[Question] | None:
        """The questions, where they are not the benchmark's own."""
        place = self.path / QUESTIONS
        if not place.is_file():
            return None
        found = []
        for key, record in records.read(place).items():
            with _named(place, key):
                known = {name: record[name] for name in Question.__slots__ if name in record}
                found.append(Question(**{**known, "turns": tuple(record["turns"])}))
        return found

    def reference(self, name: str) -> Reference | None:
        """Reference answers that judges were shown, and that are not the benchmark's own; None where there are none.

        Raises:
            DataError: the file cannot be read.
        """
        place = self._reference(name)
        try:
            found = files.read_json(place)
            answers = {question: [str(text) for text in turns] for question, turns in found["answers"]}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise DataError(f"{place}: cannot be read: {cause}", hint="restore the file from a copy") from None
        return Reference(name=name, answers=answers)

    def keep_reference(self, reference: Reference) -> None:
        """Write down reference answers that a judge is about to be shown.

        Raises:
            UsageError: others of that name are there.
        """
        there = self.reference(reference.name)
        if there is None:
            told = {"name": reference.name, "answers": [[key, list(turns)] for key, turns in reference.answers.items()]}
            files.write_json(self._reference(reference.name), told)
            return
        ours = {key: list(turns) for key, turns in reference.answers.items()}
        changed = [key for key, turns in there.answers.items() if ours.get(key) != list(turns)]
        if changed or ours.keys() != there.answers.keys():
            raise UsageError(
                f'{self._reference(reference.name)}: these are other answers of "{reference.name}": '
                f"{len(changed)} of {len(there.answers)} differ",
                hint="verdicts beside two references of one name cannot be told apart: judge in another folder",
            )

    def is_made_as(self, other: Evaluation) -> bool:
        """Whether the same model answered the same questions in the same manner, for whichever benchmark."""
        mine, its = ({**one.facts, "benchmark": ""} for one in (self, other))
        return not _differences(mine, its, "")

    def _keep(self, questions: Sequence[Question] | None) -> None:
        place = self.path / QUESTIONS
        place.unlink(missing_ok=True)
        if questions is not None:
            lines = [json.dumps({"key": str(one.id), **asdict(one)}, ensure_ascii=False) for one in questions]
            files.write_bytes(place, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))

    def _reference(self, name: str) -> Path:
        return self.path / REFERENCES / f"{slug(name)}.json"

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
            self._keep(questions)
            files.write_json(self.path / FACTS, wanted)
            self.__dict__.pop("facts", None)
            return
        differences = _differences(self.facts, wanted, "")
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


def _demand(value: Any, *kinds: type) -> None:
    if not isinstance(value, kinds):
        raise TypeError(f"{value!r} is no {' or '.join(kind.__name__ for kind in kinds if kind is not type(None))}")


@contextmanager
def _named(place: Path, key: str) -> Iterator[None]:
    """A record that lacks what its kind has is named: somebody else wrote it, or changed it."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as cause:
        raise DataError(
            f'{place}: the record "{key}" is not whole: {type(cause).__name__}: {cause}',
            hint="restore the file from a copy, or take the line out: what it held is then done again",
        ) from None


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
