"""How far raters agree, and how each of them votes."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from align_cli.evals.arena.battles import Battle


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Of raters who saw the same two models' answers to the same item."""

    num_units: int
    """Items with two models that at least two raters voted on."""
    compared: int
    """Pairs of votes on them."""
    agreed: int
    alpha: float | None
    """Krippendorff's; 1: they agree always, 0: as often as by chance. None without anything to compare."""
    num_replaced: int
    """Votes left out because the same rater voted on the same again: the last one counts."""

    @property
    def share(self) -> float | None:
        """Of pairs of votes that are equal; a tie and both bad count as equal."""
        return self.agreed / self.compared if self.compared else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rater:
    """How one person votes."""

    name: str
    battles: int
    ties: int
    both_bad: int
    """Of the ties."""
    wins_a: int
    """Votes for the first, or left, answer."""
    compared: int
    """Votes of others on the same."""
    agreed: int
    seconds: float | None
    """Median time to decide."""

    @property
    def share_a(self) -> float | None:
        """Of votes that were no ties, those for the first answer."""
        decided = self.battles - self.ties
        return self.wins_a / decided if decided else None

    @property
    def share_agreed(self) -> float | None:
        """Of others' votes on the same that were equal."""
        return self.agreed / self.compared if self.compared else None


#: Raters and what each found better, on one item and two models: 1 the first by name, -1 the other, 0 neither.
_Unit = dict[str, int]


def agreement(battles: Sequence[Battle]) -> Agreement:
    r"""Raw agreement and Krippendorff's $\alpha$ for nominal values: first better, second better, neither.

    $\alpha = 1 - D_o / D_e$ with $D_o = \frac{1}{n} \sum_u \frac{1}{m_u - 1} \sum_{i \ne j} [v_{ui} \ne v_{uj}]$ over
    units of $m_u \ge 2$ votes, $n = \sum_u m_u$, and $D_e = \frac{1}{n (n - 1)} \sum_{c \ne k} n_c n_k$
    (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability").
    Which of two models is called the first means nothing, so each unit is counted both ways round: $\alpha$ does not
    depend on the models' names, and raters who always agree have 1 even if one model always wins.
    """
    units, num_replaced = _units(battles)
    compared = agreed = 0
    apart = 0.0
    totals: Counter[int] = Counter()
    for unit in units:
        votes = list(unit.values())
        differing = sum(one != other for one, other in combinations(votes, 2))
        pairs = len(votes) * (len(votes) - 1) // 2
        compared, agreed = compared + pairs, agreed + pairs - differing
        apart += 2 * 2 * differing / (len(votes) - 1)  # both orders of the two votes, both ways round
        totals.update(votes)
        totals.update(-vote for vote in votes)
    size = totals.total()
    by_chance = size**2 - sum(count**2 for count in totals.values())
    alpha = 1 - (apart / size) / (by_chance / (size * (size - 1))) if by_chance else (1.0 if size else None)
    return Agreement(num_units=len(units), compared=compared, agreed=agreed, alpha=alpha, num_replaced=num_replaced)


def raters(battles: Sequence[Battle]) -> list[Rater]:
    """Everybody who has a name, those with most votes first."""
    compared: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    for unit in _units(battles)[0]:
        counts = Counter(unit.values())
        for name, vote in unit.items():
            compared[name] += len(unit) - 1
            agreed[name] += counts[vote] - 1
    votes: dict[str, list[Battle]] = {}
    for battle in battles:
        if battle.rater:
            votes.setdefault(battle.rater, []).append(battle)
    made = []
    for name, own in votes.items():
        times = [battle.seconds for battle in own if battle.seconds is not None]
        made.append(
            Rater(
                name=name,
                battles=len(own),
                ties=sum(battle.is_tie for battle in own),
                both_bad=sum(battle.winner == "both_bad" for battle in own),
                wins_a=sum(battle.winner == "model_a" for battle in own),
                compared=compared[name],
                agreed=agreed[name],
                seconds=statistics.median(times) if times else None,
            )
        )
    return sorted(made, key=lambda one: (-one.battles, one.name))


def _units(battles: Sequence[Battle]) -> tuple[list[_Unit], int]:
    """What several raters voted on, and how many votes later ones replaced."""
    found: dict[tuple[str, str, str], _Unit] = {}
    num_replaced = 0
    for battle in sorted(battles, key=lambda one: one.tstamp):
        if not (battle.item and battle.rater):
            continue
        first, second = sorted((battle.model_a, battle.model_b))
        vote = int(2 * battle.score_a - 1) * (1 if battle.model_a == first else -1)
        unit = found.setdefault((battle.item, first, second), {})
        num_replaced += battle.rater in unit
        unit[battle.rater] = vote
    return [unit for unit in found.values() if len(unit) > 1], num_replaced
