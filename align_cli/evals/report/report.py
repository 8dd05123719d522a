"""A report: what the answers and judgments in evaluations' folders come to.

A pure function of what lies there: no clock, no path, no order of the folders. The same contents give the same
`report.json`, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from align_cli.evals.benchmark import Benchmark, Computing, Question
from align_cli.evals.folder import Evaluation
from align_cli.evals.report.addition import Addition, Headline
from align_cli.evals.report.differences import Difference, difference
from align_cli.evals.report.material import Judge, Material, Subject, gather
from align_cli.evals.report.notes import notes_of
from align_cli.evals.report.pairs import Battle, Pair, battles_of, pairs_of
from align_cli.evals.report.scores import Counts, Scores, Spent, counts_of, readable, scores_of, spent_on
from align_cli.evals.report.statistics import LEVEL, ROUNDS, SEED

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelReport:
    """One model: its scores, and what they rest on."""

    name: str
    is_against: bool
    """The others are compared with it."""
    scores: Scores
    counts: Counts
    spent: Spent
    """On judging its answers alone."""
    headline: Headline
    """The figure that it is ranked by."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What the benchmark computes beyond the mean."""

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {
            "name": self.name,
            "is_against": self.is_against,
            "headline": self.headline.as_dict(),
            "metrics": dict(self.metrics),
            **self.scores.as_dict(),
            "counts": self.counts.as_dict(),
            "spent": self.spent.as_dict(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What several evaluations on one benchmark come to."""

    benchmark: str
    scale: tuple[float, float]
    score: str
    """What a score is called."""
    reference: str
    """Whose answers the judge was shown beside the models'; empty: none."""
    num_questions: int
    categories: Sequence[str]
    turns: Sequence[int]
    judge: Judge | None
    """None where nothing is judged."""
    usual_judge: str
    """The one of published scores."""
    models: Sequence[ModelReport]
    """The best first; those without a score last."""
    differences: Sequence[Difference]
    """Of every model from the one it is compared `against`."""
    pairs: Sequence[Pair]
    spent_on_games: Spent
    notes: Sequence[str]
    """What a reader has to know before trusting the numbers, in sentences."""
    addition: Addition = field(repr=False, compare=False)
    """Of the benchmark; for the page."""
    material: Material = field(repr=False, compare=False)
    """What it was made of; for the page."""
    battles: Sequence[Battle] = field(repr=False, compare=False)

    def model(self, name: str) -> ModelReport:
        """One model's part; KeyError where there is none of that name."""
        return {one.name: one for one in self.models}[name]

    @property
    def has_scores(self) -> bool:
        """Some answer was judged alone, and readably."""
        return any(one.scores.overall.n for one in self.models)

    def as_dict(self) -> dict[str, Any]:
        """The document `report.json`."""
        judge = None if self.judge is None else {"name": self.judge.name, "endpoints": list(self.judge.endpoints)}
        return {
            "format": FORMAT,
            "benchmark": self.benchmark,
            "scale": list(self.scale),
            "score": self.score,
            "reference": self.reference or None,
            "num_questions": self.num_questions,
            "categories": list(self.categories),
            "turns": list(self.turns),
            "judge": judge,
            "usual_judge": self.usual_judge,
            "interval": {"method": "bootstrap over questions", "level": LEVEL, "rounds": ROUNDS, "seed": SEED},
            "models": [one.as_dict() for one in self.models],
            "differences": [one.as_dict() for one in self.differences],
            "pairs": [one.as_dict() for one in self.pairs],
            "spent_on_games": self.spent_on_games.as_dict(),
            "notes": list(self.notes),
        }


def make(
    evaluations: Sequence[Evaluation],
    *,
    benchmark: Benchmark,
    questions: Sequence[Question],
    judge: str | None = None,
    reference: str | None = None,
    against: Evaluation | None = None,
    computing: Computing | None = None,
) -> Report:
    """Report on evaluations, each of one model.

    `judge` names whose judgments count, where several judged, and `reference` the reference answers beside which, where
    there are several. `against` is the evaluation that the others are compared with; it is reported on too, and may be
    among them. `computing` is for what the benchmark computes beyond the mean.

    Raises:
        UsageError: the evaluations are of another benchmark, or it has to be said whose judgments count.
        DataError: a folder's files cannot be read.
    """
    material = gather(
        evaluations, benchmark=benchmark, questions=questions, judge=judge, reference=reference, against=against
    )
    battles = battles_of(material)
    add = benchmark.addition
    addition = Addition() if add is None or material.judge is None else add(material, computing or Computing())
    models = sorted((_model(one, material, addition) for one in material.subjects), key=_rank)
    pairs = pairs_of(battles, material)
    spent_on_games = spent_on(material.games)
    compared_with = next((one for one in material.subjects if one.is_against), None)
    by_name = {one.name: one for one in material.subjects}
    return Report(
        benchmark=benchmark.name,
        scale=benchmark.scale,
        score=benchmark.score,
        reference=material.reference,
        num_questions=len(material.questions),
        categories=material.categories,
        turns=material.turns,
        judge=material.judge,
        usual_judge=benchmark.judge,
        models=models,
        differences=[
            difference(by_name[one.name], compared_with, material)
            for one in models
            if compared_with is not None and one.name != compared_with.name
        ],
        pairs=pairs,
        spent_on_games=spent_on_games,
        notes=[*notes_of(material, {one.name: one.counts for one in models}, pairs), *addition.notes],
        addition=addition,
        material=material,
        battles=battles,
    )


def _model(subject: Subject, material: Material, addition: Addition) -> ModelReport:
    scores = scores_of(readable(subject.judgments), material)
    overall = scores.overall
    usual = Headline(name=material.benchmark.score, value=overall.value, low=overall.low, high=overall.high)
    return ModelReport(
        name=subject.name,
        is_against=subject.is_against,
        headline=addition.headlines.get(subject.name, usual),
        metrics=addition.metrics.get(subject.name, {}),
        scores=scores,
        counts=counts_of(subject, material),
        spent=spent_on(subject.judgments),
    )


def _rank(model: ModelReport) -> tuple[float, float, str]:
    values = (model.headline.value, model.scores.overall.value)
    first, second = (float("inf") if value is None else -value for value in values)
    return first, second, model.name
