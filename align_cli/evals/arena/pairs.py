"""Two models against each other: how often each won, how sure the better one is, and what it would take to be surer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.ratings import POINTS, Ratings, Z

_MOST_VOTES = 10_000_000  # more than these are not said: the two are as good as equal


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A model and one that is rated lower."""

    better: str
    other: str
    battles: int
    """Of the two; what others tell about them is in the ratings."""
    wins: int
    """Of the better rated one."""
    losses: int
    ties: int
    expected: float
    """The better one's share by the ratings, a tie counting half."""
    difference: float
    """Points."""
    low: float
    """95 %."""
    high: float
    further_votes: int | None
    """Between these two until `low` is above 0, if the difference stays what it is; 0: it is. None: beyond reason."""

    @property
    def is_separated(self) -> bool:
        """Whether the interval of the difference leaves 0 out."""
        return self.low > 0

    @property
    def share(self) -> float | None:
        """What the better rated one won of their battles, a tie counting half; None without battles."""
        return (self.wins + self.ties / 2) / self.battles if self.battles else None


def pairs_of(battles: Sequence[Battle], ratings: Ratings) -> list[Pair]:
    """Every two models, in the ratings' order."""
    places = ratings.places
    counts: dict[tuple[int, int], list[int]] = {}
    for battle in battles:
        a, b = places[battle.model_a], places[battle.model_b]
        line = counts.setdefault((min(a, b), max(a, b)), [0, 0, 0])
        has_better_won = (battle.winner == "model_a") == (a < b)
        line[1 if battle.is_tie else 0 if has_better_won else 2] += 1
    tie_share = sum(battle.is_tie for battle in battles) / max(len(battles), 1)
    every = combinations(range(len(ratings.models)), 2)
    return [_pair(ratings, two, counts.get(two, [0, 0, 0]), tie_share) for two in every]


def further_votes(difference: float, variance: float, *, win_chance: float, tie_share: float) -> float:
    r"""How many more votes between two models until the interval of their difference leaves out 0.

    The difference $d$ has the variance $v$ (both in logits). A vote between the two adds the information
    $k = h^2 / g$ with $h = p(1-p)$ and $g = p(1-p) - t/4$, the variance of a score of 1, ½ or 0 with a share $t$ of
    ties; $m$ votes leave the variance $1/(1/v + m k)$. So $m = ((z/d)^2 - 1/v) / k$.

    >>> round(further_votes(0.2, 0.04, win_chance=0.5, tie_share=0.0))
    284
    """
    if not difference:
        return math.inf
    curve = win_chance * (1 - win_chance)
    # Ties cannot be more than two equal models would allow; at the edge there is always some spread left.
    spread = max(curve - tie_share / 4, curve / 10)
    return max(((Z / difference) ** 2 - 1 / max(variance, 1e-12)) * spread / curve**2, 0.0)


def _pair(ratings: Ratings, two: tuple[int, int], counts: Sequence[int], tie_share: float) -> Pair:
    one, other = two
    first, second = ratings.models[one], ratings.models[other]
    wins, ties, losses = counts
    difference = first.rating - second.rating
    cov = ratings.covariance
    variance = max(float(cov[one, one] + cov[other, other] - 2 * cov[one, other]), 0.0)
    wide = Z * math.sqrt(variance)
    chance = 1 / (1 + math.exp(-difference / POINTS))
    share = ties / (wins + ties + losses) if wins + ties + losses >= 20 else tie_share
    votes = further_votes(difference / POINTS, variance / POINTS**2, win_chance=chance, tie_share=share)
    return Pair(
        better=first.model,
        other=second.model,
        battles=sum(counts),
        wins=wins,
        losses=losses,
        ties=ties,
        expected=chance,
        difference=difference,
        low=difference - wide,
        high=difference + wide,
        further_votes=math.ceil(votes) if votes <= _MOST_VOTES else None,
    )
