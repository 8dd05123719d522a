"""Ratings of models by battles, in points: 400 of them are ten to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from align_cli.errors import UsageError
from align_cli.evals.arena import bradley_terry, clusters
from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.bootstrap import bootstrap
from align_cli.evals.arena.bradley_terry import Cells, Fit

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

#: Points of one logit: 400 / ln 10.
POINTS = 173.71779276130073
MEAN = 1000.0
#: 95 % of a normal distribution lie within so many standard deviations.
Z = 1.959963984540054

Interval = Literal["sandwich", "bootstrap"]
INTERVALS: tuple[Interval, ...] = get_args(Interval)


class Anchor(NamedTuple):
    """A model whose rating is given: all ratings are moved by what it is off."""

    model: str
    rating: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """How ratings are made."""

    interval: Interval = "sandwich"
    rounds: int = 1000
    """Of the bootstrap."""
    seed: int = 0
    anchor: Anchor | None = None
    """Without one, the ratings' mean is 1000."""
    cluster_by_rater: bool = False
    """Votes of one rater are no independent ones; see `clusters`. Of the sandwich."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """One model's line."""

    model: str
    rating: float
    low: float
    """95 %. An anchor moves it with the rating: it says how sure a rating against the mean of all models is."""
    high: float
    rank: int
    """1 + the number of models that are better for sure: whose lower bound is above this one's upper bound."""
    battles: int
    wins: int
    losses: int
    ties: int
    both_bad: int
    """Of the ties."""

    @property
    def share(self) -> float:
        """Of its battles that it won, a tie counting half."""
        return (self.wins + self.ties / 2) / self.battles if self.battles else 0.5


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """All models' ratings, the best first."""

    models: tuple[Rating, ...]
    covariance: Array
    """(models, models), points², in the order of `models`."""
    is_held: bool
    """Some model won, or lost, everything against the others: a penalty keeps its rating finite."""
    num_held_rounds: int
    """Bootstrap rounds of which the same is true."""
    groups: tuple[tuple[str, ...], ...]
    """Models joined by battles; ratings of different groups cannot be compared."""

    @property
    def places(self) -> Mapping[str, int]:
        """Where each model stands in `models`."""
        return {one.model: number for number, one in enumerate(self.models)}


def rate(battles: Sequence[Battle], method: Method | None = None) -> Ratings:
    r"""The ratings $1000 + \frac{400}{\ln 10} r$ of the logits $r$ of `bradley_terry.fit`; as Chatbot Arena's.

    Raises:
        UsageError: the anchor is not among the models, or there are too few raters to cluster by.
    """
    import numpy as np

    method = method or Method()
    if method.cluster_by_rater:
        clusters.demand(battles)
    cells = bradley_terry.cells_of(battles, by_rater=method.cluster_by_rater)
    found = bradley_terry.fit(cells)
    spread = np.sqrt(np.maximum(np.diag(found.covariance), 0.0))
    low, high = found.logits - Z * spread, found.logits + Z * spread
    num_held = 0
    if method.interval == "bootstrap":
        rounds = bootstrap(cells, found.logits, rounds=method.rounds, seed=method.seed, is_held=found.is_held)
        low, high = np.quantile(rounds.logits, (0.025, 0.975), axis=0)
        num_held = rounds.num_held
    return _ratings(battles, cells, found, (low, high), num_held, method.anchor)


def of_fit(battles: Sequence[Battle], cells: Cells, found: Fit, anchor: Anchor | None) -> Ratings:
    """Ratings of a fit that knows more than who met whom, with sandwich intervals."""
    import numpy as np

    size = len(cells.models)
    spread = np.sqrt(np.maximum(np.diag(found.covariance)[:size], 0.0))
    bounds = (found.logits - Z * spread, found.logits + Z * spread)
    return _ratings(battles, cells, found, bounds, 0, anchor)


def _ratings(
    battles: Sequence[Battle],
    cells: Cells,
    found: Fit,
    bounds: tuple[Array, Array],
    num_held: int,
    anchor: Anchor | None,
) -> Ratings:
    import numpy as np

    size = len(cells.models)
    points = MEAN + POINTS * found.logits
    shift = _shift(cells.models, points, anchor)
    low, high = (MEAN + POINTS * bound + shift for bound in bounds)
    points = points + shift
    counts = _counts(battles)
    order = sorted(range(size), key=lambda one: (-points[one], cells.models[one]))
    models = [
        Rating(
            model=cells.models[one],
            rating=float(points[one]),
            low=float(low[one]),
            high=float(high[one]),
            rank=1 + int((low > high[one]).sum()),
            **counts[cells.models[one]],
        )
        for one in order
    ]
    return Ratings(
        models=tuple(models),
        covariance=POINTS**2 * found.covariance[np.ix_(order, order)],
        is_held=found.is_held,
        num_held_rounds=num_held,
        groups=tuple(tuple(group) for group in bradley_terry.groups(cells)),
    )


def _shift(models: Sequence[str], points: Array, anchor: Anchor | None) -> float:
    if anchor is None:
        return 0.0
    if anchor.model not in models:
        raise UsageError(
            f'--anchor: there is no model "{anchor.model}" in these battles', hint=f"there are {', '.join(models[:8])}"
        )
    return anchor.rating - float(points[models.index(anchor.model)])


def _counts(battles: Sequence[Battle]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for battle in battles:
        for name, has_won in ((battle.model_a, "model_a"), (battle.model_b, "model_b")):
            line = found.setdefault(name, {"battles": 0, "wins": 0, "losses": 0, "ties": 0, "both_bad": 0})
            line["battles"] += 1
            line["both_bad"] += battle.winner == "both_bad"
            line["ties" if battle.is_tie else "wins" if battle.winner == has_won else "losses"] += 1
    return found
