"""What a report is made of: the answers and one judge's judgments of several evaluations, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from align_cli.errors import Problem, UsageError
from align_cli.evals.benchmark import Answer, Benchmark, Question, Reference
from align_cli.evals.folder import Evaluation
from align_cli.evals.judgments import Judgment, judgments_of

#: The category of judgments whose question is not among the benchmark's.
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One evaluated model."""

    name: str
    """As the report calls it; unlike every other's."""
    answers: Mapping[str, Sequence[Answer]]
    """By question; empty where only judgments were imported."""
    judgments: Sequence[Judgment]
    """Of its answers alone, by the report's judge."""
    is_against: bool = False
    """The others are compared with it."""
    num_outdated: int = 0
    """Verdicts left out: they are on other words than the answer has now, and there is one on these."""
    num_of_changed: int = 0
    """Verdicts that count and are on other words than the answer has now."""
    num_of_others: int = 0
    """Judgments in its folder that are of other models' answers."""
    manner: Mapping[str, Any] = field(default_factory=dict)
    """How it was asked; empty where nobody knows."""
    remarks: Sequence[str] = ()
    """What was noticed when its folder was made out of other files."""
    order: Sequence[str] = ()
    """Its questions, in their order where they are not the benchmark's own."""
    reference: Reference | None = None
    """The reference answers beside which it was judged, where they are not the benchmark's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """Who judged."""

    name: str
    endpoints: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Everything that a report says something about."""

    benchmark: Benchmark
    questions: Sequence[Question]
    judge: Judge | None
    """None where nothing is judged."""
    subjects: Sequence[Subject]
    """By name."""
    games: Sequence[Judgment]
    """Judgments of two answers, in the order in which they came."""
    reference: str = ""
    """Whose answers the judge was shown beside the models'; empty where it saw none."""

    @property
    def categories(self) -> list[str]:
        """In the benchmark's order; `UNKNOWN` last where there is need of it."""
        named = dict.fromkeys(question.category for question in self.questions)
        judged = (one for found in (*(subject.judgments for subject in self.subjects), self.games) for one in found)
        known = self.category_of
        return [*named, UNKNOWN] if any(str(one.question_id) not in known for one in judged) else list(named)

    def asked_of(self, subject: Subject) -> list[Question]:
        """A model's questions: those it brings with it, else all."""
        own = set(subject.order)
        return [question for question in self.questions if not own or str(question.id) in own]

    @property
    def category_of(self) -> dict[str, str]:
        """By question."""
        return {str(question.id): question.category for question in self.questions}

    @property
    def turns(self) -> list[int]:
        """From 1."""
        return list(range(1, max((len(question.turns) for question in self.questions), default=0) + 1))


def gather(
    evaluations: Sequence[Evaluation],
    *,
    benchmark: Benchmark,
    questions: Sequence[Question],
    judge: str | None = None,
    reference: str | None = None,
    against: Evaluation | None = None,
) -> Material:
    """Read the evaluations' folders.

    Raises:
        UsageError: they are of another benchmark; several judges judged and none is named, or one that did not; the
            same of reference answers.
    """
    ours = _distinct(evaluations, against)
    _demand_one_benchmark(ours, benchmark)
    judged = {one.path: judgments_of(one.judgments()) for one in ours}
    chosen = _chosen({one: judged[one.path] for one in ours}, judge)
    kept = {path: [one for one in its if chosen and _is_by(one, chosen)] for path, its in judged.items()}
    beside = _reference([one for its in kept.values() for one in its], reference)
    subjects = []
    games: dict[str, Judgment] = {}
    for name, one in sorted(_names(ours).items()):
        by_judge = [judgment for judgment in kept[one.path] if judgment.reference in ("", beside)]
        alone = [judgment for judgment in by_judge if not judgment.is_pair]
        own = [judgment for judgment in alone if judgment.models == (one.model,)]
        answers = {str(question): turns for question, turns in one.answers().items()}
        current = _current(own, answers)
        changed = sum(one.state == "ok" and not _shows(one, answers) for one in current)
        games |= {judgment.key: judgment for judgment in by_judge if judgment.is_pair and judgment.key not in games}
        subjects.append(
            Subject(
                name=name,
                answers=answers,
                judgments=current,
                num_outdated=len(own) - len(current),
                num_of_changed=changed if answers else 0,
                is_against=against is not None and one.path == against.path,
                num_of_others=len(alone) - len(own),
                manner=one.facts.get("manner") or {},
                remarks=(one.facts.get("imported") or {}).get("notes") or (),
                order=tuple(str(question.id) for question in one.questions() or ()),
                reference=one.reference(beside) if beside else None,
            )
        )
    return Material(
        benchmark=benchmark,
        questions=tuple(questions),
        judge=chosen,
        reference=beside,
        subjects=subjects,
        games=tuple(games.values()),
    )


def _current(judgments: Sequence[Judgment], answers: Mapping[str, Sequence[Answer]]) -> list[Judgment]:
    """Without those on an earlier text of an answer that was judged again since it was changed."""
    there = [(one, (str(one.question_id), one.turn), _shows(one, answers)) for one in judgments]
    again = {place for one, place, is_current in there if one.state == "ok" and is_current}
    return [one for one, place, is_current in there if is_current or place not in again]


def _shows(judgment: Judgment, answers: Mapping[str, Sequence[Answer]]) -> bool:
    """Whether the judge saw the answer as it is now; of what was imported nobody may know what it saw."""
    texts = [one.text for one in answers.get(str(judgment.question_id), ()) if one.turn == judgment.turn]
    return not judgment.shown or all(text in judgment.shown for text in texts)


def _distinct(evaluations: Sequence[Evaluation], against: Evaluation | None) -> list[Evaluation]:
    found = {one.path: one for one in evaluations}
    if against is not None:
        if list(found) == [against.path]:
            raise UsageError(
                f"--against {against.path}: that is the evaluation itself", hint="name another model's evaluation"
            )
        found[against.path] = against
    return list(found.values())


def _demand_one_benchmark(evaluations: Iterable[Evaluation], benchmark: Benchmark) -> None:
    problems = [
        Problem(f"is an evaluation on {one.benchmark}", str(one.path))
        for one in evaluations
        if one.benchmark != benchmark.name
    ]
    if problems:
        raise UsageError(
            f"a report is on one benchmark, here {benchmark.name}", problems=problems, hint="leave the others out"
        )


def _names(evaluations: Sequence[Evaluation]) -> dict[str, Evaluation]:
    """Evaluations by a name that is theirs alone: the model's, with as much of the folder's as tells them apart.

    Never a whole path: the same folders elsewhere give the same report.
    """
    counts = Counter(one.model for one in evaluations)
    found: dict[str, Evaluation] = {}
    for one in evaluations:
        name = one.model
        if counts[name] > 1:
            alike = [other.path.parts for other in evaluations if other.model == name and other is not one]
            parts = one.path.parts
            length = next(
                (size for size in range(1, len(parts) + 1) if all(parts[-size:] != other[-size:] for other in alike)),
                len(parts),
            )
            name = f"{name} ({'/'.join(parts[-length:])})"
        found[name] = one
    return found


def _chosen(judged: Mapping[Evaluation, Sequence[Judgment]], wanted: str | None) -> Judge | None:
    """The judge that the report is of: the one who judged, or the named one."""
    found = Counter((one.judge["model"], one.judge.get("endpoint", "")) for each in judged.values() for one in each)
    if not found:
        if wanted is not None:
            raise UsageError(f"--judge {wanted}: nobody has judged these answers yet", hint="judge them first")
        return None
    if wanted is None:
        kept = sorted(found)
    else:
        kept = sorted(judge for judge in found if wanted in (*judge, _said(*judge)))
        if not kept:
            raise UsageError(f"--judge {wanted} has not judged these answers", problems=_listed(found))
    is_one = len({model for model, _ in kept}) == 1 and all(
        len({one.judge.get("endpoint", "") for one in each if one.judge["model"] == kept[0][0]}) <= 1 or len(kept) == 1
        for each in judged.values()
    )
    if not is_one:
        raise UsageError(
            "several judges have judged these answers: a report is of one",
            problems=_listed(found),
            hint=f'--judge says which: --judge "{_said(*kept[0])}"',
        )
    return Judge(name=kept[0][0], endpoints=tuple(endpoint for _, endpoint in kept))


def _reference(judgments: Sequence[Judgment], wanted: str | None) -> str:
    """The reference answers that the report is of: those that the judge was shown, or the named ones."""
    found = Counter(one.reference for one in judgments if one.reference)
    if wanted is not None and found and wanted not in found:
        raise UsageError(
            f"--reference {wanted}: nothing was judged beside it",
            problems=[Problem(f"{count:,} judgments", name) for name, count in sorted(found.items())],
        )
    if wanted is None and len(found) > 1:
        raise UsageError(
            "these answers were judged beside several reference answers: a report is of one",
            problems=[Problem(f"{count:,} judgments", name) for name, count in sorted(found.items())],
            hint="--reference NAME says which",
        )
    return (wanted or next(iter(found))) if found else ""


def _is_by(judgment: Judgment, judge: Judge) -> bool:
    return judgment.judge["model"] == judge.name and judgment.judge.get("endpoint", "") in judge.endpoints


def _said(model: str, endpoint: str) -> str:
    return f"{model} at {endpoint}" if endpoint else model


def _listed(found: Mapping[tuple[str, str], int]) -> list[Problem]:
    return [Problem(f"{count:,} judgments", _said(*judge)) for judge, count in sorted(found.items())]
