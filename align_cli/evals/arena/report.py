"""What battles come to: ratings, pairs, raters, what else moves votes, and what to know before trusting it all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from align_cli.errors import DataError
from align_cli.evals.arena import clusters
from align_cli.evals.arena.agreement import Agreement, Rater, agreement, raters
from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.control import Side, StyleControl, control_style, side_of
from align_cli.evals.arena.leaks import Leaks, leaks_of
from align_cli.evals.arena.pairs import Pair, pairs_of
from align_cli.evals.arena.ratings import Method, Rating, Ratings, rate

FORMAT = 1
_DIGITS = 4  # of what is written
_FEW = 30  # battles of a model: fewer, and a normal distribution is a rough guess
_FEW_RATERS = 20  # to cluster by: where "few" begins is from 20 to 50 in the literature
_WIDER = 1.5  # times: chance alone makes intervals by rater some tenths wider or narrower
_HARDLY = 0.2  # α below which raters hardly agree
_LEANING = 0.05  # of the share of the first answer from one half that is worth a note


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything; the models are in the order of their ratings."""

    battles: Sequence[Battle]
    method: Method
    ratings: Ratings
    pairs: Sequence[Pair]
    style: StyleControl | None
    side: Side
    agreement: Agreement
    raters: Sequence[Rater]
    leaks: Leaks
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Battles that were there and are not in it, by reason."""
    wider_by_rater: float | None = None
    """How many times as wide the intervals would be by rater; None where they are, or nobody can tell."""

    @property
    def notes(self) -> list[str]:
        """What to know before trusting the numbers."""
        return list(_notes(self))

    def as_dict(self) -> dict[str, Any]:
        """`report.json`."""
        items = {battle.item for battle in self.battles if battle.item}
        document = {
            "format": FORMAT,
            "battles": len(self.battles),
            "items": len(items),
            "method": {**asdict(self.method), "anchor": self.method.anchor and self.method.anchor._asdict()},
            "models": [_model(one) for one in self.ratings.models],
            "groups": [list(group) for group in self.ratings.groups],
            "pairs": [{**asdict(pair), "is_separated": pair.is_separated, "share": pair.share} for pair in self.pairs],
            "style": None if self.style is None else _style(self.style),
            "side": _side(self.side),
            "agreement": {**asdict(self.agreement), "share": self.agreement.share},
            "raters": [
                {**asdict(one), "share_a": one.share_a, "share_agreed": one.share_agreed} for one in self.raters
            ],
            "leaks": {
                "battles": len(self.leaks.battles),
                "by_model": self.leaks.by_model,
                "words": self.leaks.words,
            },
            "left_out": dict(self.left_out),
            "notes": self.notes,
        }
        return dict(_rounded(document))


def make(
    battles: Sequence[Battle], method: Method | None = None, *, with_leaks: bool = True, left_out: Mapping[str, int]
) -> Report:
    """The report; `with_leaks`: battles in which an answer named a model count too.

    Raises:
        DataError: there are no battles.
        UsageError: the anchor is not among the models.
    """
    method = method or Method()
    found = leaks_of(battles)
    gone = dict(left_out)
    if not with_leaks and found.battles:
        gone["an answer names a model"] = len(found.battles)
        battles = [battle for battle in battles if battle.id not in found.battles]
    if not battles:
        raise DataError(
            "there are no battles to rate", hint="; ".join(f"{n:,} left out: {why}" for why, n in gone.items())
        )
    ratings = rate(battles, method)
    return Report(
        battles=battles,
        method=method,
        ratings=ratings,
        pairs=pairs_of(battles, ratings),
        style=control_style(battles, method.anchor, by_rater=method.cluster_by_rater),
        side=side_of(battles, by_rater=method.cluster_by_rater),
        agreement=agreement(battles),
        raters=raters(battles),
        leaks=found if with_leaks else Leaks(battles=frozenset(), by_model={}, words={}),
        left_out=gone,
        wider_by_rater=_wider_by_rater(battles, method, ratings),
    )


def _wider_by_rater(battles: Sequence[Battle], method: Method, ratings: Ratings) -> float | None:
    """The median of the models'."""
    is_known = any(battle.rater for battle in battles) and clusters.are_enough(battles)
    if method.cluster_by_rater or not is_known or len(ratings.models) < 2:
        return None
    by_rater = rate(battles, Method(anchor=method.anchor, cluster_by_rater=True))
    return median(
        (wide.high - wide.low) / max(one.high - one.low, 1e-9)
        for one, wide in zip(ratings.models, by_rater.models, strict=True)
    )


def _model(one: Rating) -> dict[str, Any]:
    return {**asdict(one), "share": one.share}


def _side(side: Side) -> dict[str, Any]:
    return {**asdict(side), "share": side.share, "points": None if side.points is None else side.points._asdict()}


def _style(style: StyleControl) -> dict[str, Any]:
    return {
        "battles": style.battles,
        "effects": {name: effect._asdict() for name, effect in style.effects.items()},
        "models": [_model(one) for one in style.ratings.models],
    }


def _notes(report: Report) -> Iterator[str]:
    ratings = report.ratings
    if len(ratings.groups) > 1:
        named = "; ".join(" and ".join(group) for group in ratings.groups)
        yield (
            f"No battle joins these groups, not even through other models: {named}. "
            "Ratings can be compared within a group only."
        )
    elif ratings.is_held:
        yield (
            "Some models won, or lost, every battle against the others. The battles alone would put them at infinity; "
            "a small penalty holds them, and how far apart they are is its doing. More battles will tell."
        )
    if ratings.num_held_rounds and not ratings.is_held:
        yield (
            f"In {ratings.num_held_rounds:,} of {report.method.rounds:,} rounds some model won or lost everything, "
            "and a penalty held its rating: those bounds are rough."
        )
    if report.wider_by_rater is not None and report.wider_by_rater >= _WIDER:
        yield (
            f"Raters differ in what they like: intervals for other raters would be {report.wider_by_rater:.1f} times "
            "as wide. --cluster-by-rater gives them; these are for more votes of the same people."
        )
    if report.method.cluster_by_rater and len(report.raters) < _FEW_RATERS:
        yield (
            f"Intervals by rater rest on {len(report.raters):,} raters: fewer than {_FEW_RATERS} can make them "
            "too narrow still."
        )
    few = [one.model for one in ratings.models if one.battles < _FEW]
    if few:
        yield f"Fewer than {_FEW} battles: {', '.join(few)}. Intervals that narrow rest on little."
    for why, number in report.left_out.items():
        yield f"{number:,} battles are left out: {why}."
    if report.leaks.battles:
        models = ", ".join(f"{name} ({number:,})" for name, number in list(report.leaks.by_model.items())[:5])
        words = ", ".join(list(report.leaks.words)[:6])
        yield (
            f"In {len(report.leaks.battles):,} battles an answer names a model or its maker ({words}), so that the "
            f"rater may have known whose it was: answers of {models}. --without-leaks leaves these battles out."
        )
    share, is_clear = report.side.share, report.side.is_clear
    if share is not None and is_clear and abs(share - 0.5) >= _LEANING:
        place = "first" if share > 0.5 else "second"
        yield (
            f"The answer that stood {place} won {max(share, 1 - share):.0%} of the decided battles. "
            "Where sides are drawn at random this is the raters' leaning."
        )
    alike = report.agreement
    if alike.alpha is not None and alike.compared >= _FEW and alike.alpha < _HARDLY:
        yield (
            f"Raters agree hardly more often than by chance (α {alike.alpha:.2f}): "
            "the ratings are an average of opinions that differ."
        )
    if alike.num_replaced:
        yield (
            f"{alike.num_replaced:,} votes repeat a rater's earlier one on the same answers: "
            "for agreement the last one counts, for ratings all do."
        )
    style = report.style
    if style is not None and style.battles < len(report.battles):
        yield f"Style control knows the answers of {style.battles:,} of {len(report.battles):,} battles."


def _rounded(value: Any) -> Any:
    """Beyond four digits another machine's sums may differ."""
    if isinstance(value, float):
        return round(value, _DIGITS) + 0.0
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(one) for one in value]
    return value
