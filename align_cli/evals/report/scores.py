"""One model's scores, and how many answers and judgments stand behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from align_cli.evals.benchmark import Answer, JudgmentState, Question
from align_cli.evals.judgments import Judgment
from align_cli.evals.report.material import UNKNOWN, Material, Subject
from align_cli.evals.report.statistics import Estimate, Row, mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Means over readable verdicts: of all of them pooled, as FastChat's `show_result.py`, and of parts."""

    overall: Estimate
    by_turn: Mapping[int, Estimate]
    by_category: Mapping[str, Estimate]
    by_category_and_turn: Mapping[str, Mapping[int, Estimate]]

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {
            "overall": self.overall.as_dict(),
            "by_turn": {str(turn): one.as_dict() for turn, one in self.by_turn.items()},
            "by_category": {name: one.as_dict() for name, one in self.by_category.items()},
            "by_category_and_turn": {
                name: {str(turn): one.as_dict() for turn, one in turns.items()}
                for name, turns in self.by_category_and_turn.items()
            },
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What there is of one model."""

    turns: int
    """Asked, or to be asked."""
    answers: int
    cut: int
    """Of the answers, at the length limit."""
    unanswered: Mapping[str, int]
    """Turns without an answer, by why: `missing`, `too_long`, `filtered`, `failed`."""
    near_ties: int
    judgments: Mapping[str, int]
    """By state; every state is there."""
    not_judged: int
    """Answers without a judgment of their own; none counts where answers are judged in pairs only."""
    repeated: int
    """Answers with more than one readable verdict; all are in the means."""
    repeated_otherwise: int
    """Of those, answers about which the judge was not asked the same each time."""
    prompt_tokens: int
    new_tokens: int
    """Of the answers."""

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What judging took."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    """Of the requests whose price is known; None where none is."""
    unpriced: int
    """Requests whose price is not known."""

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {**asdict(self), "cost_usd": None if self.cost_usd is None else round(self.cost_usd, 6)}


def scores_of(rows: Mapping[tuple[str, int], Sequence[float]], material: Material) -> Scores:
    """Means of numbers that are given by question and turn."""
    category_of = material.category_of
    turned: dict[int, list[Row]] = {turn: [] for turn in material.turns}
    for (question, turn), values in rows.items():
        category = category_of.get(question, UNKNOWN)
        turned.setdefault(turn, []).extend(Row(question, category, value) for value in values)
    pooled = [row for some in turned.values() for row in some]
    categories = material.categories
    return Scores(
        overall=mean(pooled),
        by_turn={turn: mean(some) for turn, some in sorted(turned.items())},
        by_category={name: mean(row for row in pooled if row.category == name) for name in categories},
        by_category_and_turn={
            name: {turn: mean(row for row in some if row.category == name) for turn, some in sorted(turned.items())}
            for name in categories
        },
    )


def readable(judgments: Sequence[Judgment]) -> dict[tuple[str, int], list[float]]:
    """The scores that count, by question and turn, sorted: which came first makes no difference."""
    found: dict[tuple[str, int], list[float]] = {}
    for one in judgments:
        if one.state == "ok" and one.score is not None:
            found.setdefault((str(one.question_id), one.turn), []).append(float(one.score))
    return {place: sorted(found[place]) for place in sorted(found)}


def counts_of(subject: Subject, material: Material) -> Counts:
    """Of one model."""
    questions = material.asked_of(subject)
    answers = [answer for turns in subject.answers.values() for answer in turns]
    there = {_place(answer): answer for answer in answers if answer.is_one}
    states = Counter(one.state for one in subject.judgments)
    judged = {(str(one.question_id), one.turn) for one in subject.judgments}
    repeated = _repeated(subject.judgments)
    return Counts(
        turns=sum(len(question.turns) for question in questions),
        answers=len(there),
        cut=sum(answer.state == "length" for answer in there.values()),
        unanswered=_unanswered(subject, questions),
        near_ties=sum(answer.near_ties for answer in there.values()),
        judgments={state: states[state] for state in get_args(JudgmentState)},
        not_judged=len(there.keys() - judged) if judged or not material.games else 0,
        repeated=len(repeated),
        repeated_otherwise=sum(len(asked) > 1 for asked in repeated.values()),
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        new_tokens=sum(answer.new_tokens for answer in answers),
    )


def spent_on(judgments: Sequence[Judgment]) -> Spent:
    """Summed over the requests; a judgment that was made elsewhere counts as one request without a price."""
    costs = [one.cost for one in judgments if one.cost is not None]
    return Spent(
        requests=len(judgments),
        prompt_tokens=sum(one.usage.get("prompt_tokens") or 0 for one in judgments),
        completion_tokens=sum(one.usage.get("completion_tokens") or 0 for one in judgments),
        cost_usd=sum(sorted(costs)) if costs else None,
        unpriced=len(judgments) - len(costs),
    )


def _place(answer: Answer) -> tuple[str, int]:
    return str(answer.question_id), answer.turn


def _repeated(judgments: Sequence[Judgment]) -> dict[tuple[str, int], set[str]]:
    """Where several verdicts are readable: what the judge was shown."""
    numbers = {place: len(values) for place, values in readable(judgments).items()}
    found: dict[tuple[str, int], set[str]] = {}
    for one in judgments:
        if one.state == "ok" and numbers.get((str(one.question_id), one.turn), 0) > 1:
            found.setdefault((str(one.question_id), one.turn), set()).add(one.shown)
    return found


def _unanswered(subject: Subject, questions: Sequence[Question]) -> dict[str, int]:
    found = {_place(answer): answer for turns in subject.answers.values() for answer in turns}
    counts: Counter[str] = Counter()
    for question in questions:
        for turn in range(1, len(question.turns) + 1):
            answer = found.get((str(question.id), turn))
            if answer is None or not answer.is_one:
                counts["missing" if answer is None else answer.state] += 1
    return {why: counts[why] for why in ("missing", "too_long", "filtered", "failed")}
