"""A report's numbers as tables, for the page and for pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from align_cli.evals.report.addition import Headline
from align_cli.evals.report.pairs import Pair
from align_cli.evals.report.report import Report
from align_cli.evals.report.statistics import Estimate
from align_cli.evals.report.table import Cell, Table

_SHARES: Mapping[str, Callable[[Pair], Estimate]] = {
    "win": lambda pair: pair.rates.win,
    "tie": lambda pair: pair.rates.tie,
    "loss": lambda pair: pair.rates.loss,
    "win rate, ties half": lambda pair: pair.rates.adjusted,
    "consistent": lambda pair: pair.consistent,
    "leans to the first shown": lambda pair: pair.leans_first,
    "leans to the second": lambda pair: pair.leans_second,
}


def scores_table(report: Report) -> Table | None:
    """Models by overall, turns and categories; None where nothing was judged alone."""
    if not report.has_scores:
        return None
    low, high = report.scale
    scored = [one for one in report.models if one.scores.overall.n]

    def cell(one: Estimate) -> Cell:
        share = None if one.value is None else min(max((one.value - low) / (high - low), 0.0), 1.0)
        return _score_cell(one, share=share)

    return Table(
        title=f"{report.benchmark}: {report.score}s, {low:g} to {high:g}",
        columns=["overall", *_turn_names(report), *(name or "(none)" for name in report.categories)],
        rows=[
            (
                one.name,
                [
                    cell(one.scores.overall),
                    *(cell(one.scores.by_turn[turn]) for turn in _turns(report)),
                    *(cell(one.scores.by_category[name]) for name in report.categories),
                ],
            )
            for one in scored
        ],
        has_series=True,
    )


def metrics_table(report: Report) -> Table | None:
    """What the benchmark computes, under its own names: single numbers and words; None where there are none.

    The figure that models are ranked by stands first, with an arrow.
    """
    headline = next((one.headline.name for one in report.models if one.headline.value is not None), None)
    names = dict.fromkeys(
        name
        for one in report.models
        for name, value in one.metrics.items()
        if name != headline and isinstance(value, int | float | str)
    )
    if not any(one.metrics for one in report.models):
        return None
    ranked = [] if headline is None else [f"{headline}\N{DOWNWARDS ARROW}"]
    return Table(
        title=f"{report.benchmark}: what it computes" if headline is None else f"Ranked by {headline}",
        columns=[*ranked, *names],
        rows=[
            (
                one.name,
                [
                    *([_headline_cell(one.headline, headline)] if headline is not None else []),
                    *(_value_cell(one.metrics.get(name)) for name in names),
                ],
            )
            for one in report.models
        ],
        has_series=True,
    )


def turns_table(report: Report) -> Table | None:
    """Categories by turn, for every model; None for a benchmark of one turn."""
    if not report.has_scores or len(report.turns) < 2:
        return None
    return Table(
        title="Scores by category and turn",
        columns=[name or "(none)" for name in report.categories],
        rows=[
            (
                f"{one.name}, turn {turn}",
                [_score_cell(one.scores.by_category_and_turn[name][turn]) for name in report.categories],
            )
            for one in report.models
            if one.scores.overall.n
            for turn in report.turns
        ],
    )


def differences_table(report: Report) -> Table | None:
    """Each model less the one it is compared with; None where there is none."""
    compared = [one for one in report.differences if one.scores.overall.n]
    if not compared:
        return None
    return Table(
        title=f"Differences from {compared[0].against}, on the same questions",
        columns=[
            "overall",
            *_turn_names(report),
            *(name or "(none)" for name in report.categories),
            "better",
            "equal",
            "worse",
        ],
        rows=[
            (
                one.model,
                [
                    _score_cell(one.scores.overall, signed=True),
                    *(_score_cell(one.scores.by_turn[turn], signed=True) for turn in _turns(report)),
                    *(_score_cell(one.scores.by_category[name], signed=True) for name in report.categories),
                    *(Cell(text=f"{count:,}") for count in (one.better, one.equal, one.worse)),
                ],
            )
            for one in compared
        ],
    )


def pairs_table(report: Report) -> Table | None:
    """Who won how often, and how consistently; None where no two answers were compared."""
    if not report.pairs:
        return None
    return Table(
        title="Battles: each pair of answers judged in both orders",
        columns=["battles", *_SHARES],
        rows=[
            (
                f"{pair.model} against {pair.opponent or 'all others'}",
                [Cell(text=f"{pair.rates.win.n:,}"), *(_share_cell(share(pair)) for share in _SHARES.values())],
            )
            for pair in report.pairs
        ],
    )


def counts_table(report: Report) -> Table | None:
    """What stands behind the scores; columns that would hold nothing but zeros are left out."""
    columns: list[tuple[str, list[int]]] = [
        ("turns", [one.counts.turns for one in report.models]),
        ("answers", [one.counts.answers for one in report.models]),
        ("cut at the limit", [one.counts.cut for one in report.models]),
        ("no answer", [sum(one.counts.unanswered.values()) for one in report.models]),
        ("near ties", [one.counts.near_ties for one in report.models]),
        *(
            (name, [one.counts.judgments[state] for one in report.models])
            for state, name in (
                ("ok", "verdicts"), ("unreadable", "unreadable"), ("filtered", "filtered"), ("too_long", "too long"),
                ("refused", "refused"), ("failed", "failed"),
            )
        ),
        ("not judged", [one.counts.not_judged for one in report.models]),
        ("tokens answered", [one.counts.new_tokens for one in report.models]),
        ("tokens to the judge", [one.spent.prompt_tokens for one in report.models]),
        ("tokens from it", [one.spent.completion_tokens for one in report.models]),
    ]  # fmt: skip
    kept = [(name, values) for name, values in columns if any(values)]
    costs = [one.spent.cost_usd for one in report.models]
    has_costs = any(cost is not None for cost in costs)
    if not kept:
        return None
    return Table(
        title="What stands behind the scores",
        columns=[*(name for name, _ in kept), *(["cost, USD"] if has_costs else [])],
        rows=[
            (
                one.name,
                [
                    *(Cell(text=f"{values[number]:,}") for _, values in kept),
                    *(
                        [Cell(text="–" if one.spent.cost_usd is None else f"{one.spent.cost_usd:,.2f}")]
                        if has_costs
                        else []
                    ),
                ],
            )
            for number, one in enumerate(report.models)
        ],
    )


def _headline_cell(one: Headline, name: str) -> Cell:
    if one.name != name or one.value is None:
        return _value_cell(None)
    if one.low is None or one.high is None:
        return _value_cell(one.value)
    between = f"95 % between {one.low:.2f} and {one.high:.2f}"
    aside = f"± {(one.high - one.low) / 2:.2f}"
    return Cell(text=_minus(f"{one.value:.2f}"), aside=aside, title=_minus(between))


def _value_cell(value: Any) -> Cell:
    if isinstance(value, float):
        return Cell(text=_minus(f"{value:,.2f}"))
    if isinstance(value, int) and not isinstance(value, bool):
        return Cell(text=_minus(f"{value:,}"))
    return Cell(text=value) if isinstance(value, str) else Cell(text="–", title="not known")


def _score_cell(one: Estimate, *, share: float | None = None, signed: bool = False) -> Cell:
    """A mean score, or a difference of two."""
    if one.value is None:
        return Cell(text="–", title="nothing to average")
    form = "+.2f" if signed else ".2f"
    aside = "" if one.half_width is None else f"± {one.half_width:.2f}"
    between = "" if one.low is None else f", 95 % between {one.low:{form}} and {one.high:{form}}"
    return Cell(text=_minus(f"{one.value:{form}}"), aside=aside, title=_minus(f"{_of(one)}{between}"), share=share)


def _share_cell(one: Estimate) -> Cell:
    """A share of battles."""
    if one.value is None:
        return Cell(text="–", title="nothing to average")
    aside = "" if one.half_width is None else f"± {one.half_width * 100:.0f}"
    between = "" if one.low is None else f", 95 % between {one.low:.1%} and {one.high:.1%}"
    return Cell(text=f"{one.value:.1%}", aside=aside, title=f"{_of(one)}{between}", share=one.value)


def _turns(report: Report) -> Sequence[int]:
    return report.turns if len(report.turns) > 1 else ()


def _turn_names(report: Report) -> list[str]:
    return [f"turn {turn}" for turn in _turns(report)]


def _of(one: Estimate) -> str:
    return f"over {one.n:,} of {one.num_questions:,} {'question' if one.num_questions == 1 else 'questions'}"


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
