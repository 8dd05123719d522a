"""What moves a vote beside the models: an answer's length and Markdown, and the side it stands on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from align_cli.evals.arena import bradley_terry
from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.bradley_terry import PENALTY, Cells
from align_cli.evals.arena.clusters import are_enough, places_of
from align_cli.evals.arena.ratings import POINTS, Anchor, Ratings, Z, of_fit
from align_cli.evals.arena.style import FEATURES, Style, style_of


class Effect(NamedTuple):
    """A coefficient, and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StyleControl:
    """Ratings as they would be if answers looked alike."""

    ratings: Ratings
    effects: dict[str, Effect]
    """By feature: logits for one standard deviation more of it. Features in which no two answers differ are left out.
    """
    battles: int
    """Whose answers, or counts of them, are known: only these are in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """Whether the first, or left, answer is liked better for standing there."""

    wins_a: int
    decided: int
    """Battles that were no ties."""
    low: float | None
    """95 % of the share (Wilson 1927); None without decided battles."""
    high: float | None
    points: Effect | None
    """What standing first is worth, the models' ratings allowed for; None where it cannot be told."""

    @property
    def share(self) -> float | None:
        """Of decided battles that the first answer won."""
        return self.wins_a / self.decided if self.decided else None

    @property
    def is_clear(self) -> bool:
        """Whether the interval of the share leaves out one half."""
        return self.low is not None and self.high is not None and not self.low <= 0.5 <= self.high


def styled(battle: Battle) -> tuple[Style, Style] | None:
    """Both answers' style; None where a log has neither counts nor answers."""
    sides = []
    for style, turns in ((battle.style_a, battle.turns_a), (battle.style_b, battle.turns_b)):
        if style is None:
            if not turns:
                return None
            style = style_of(turn["content"] for turn in turns if turn["role"] == "assistant")
        sides.append(style)
    return sides[0], sides[1]


def control_style(
    battles: Sequence[Battle], anchor: Anchor | None = None, *, by_rater: bool = False
) -> StyleControl | None:
    r"""Bradley–Terry with style as further terms, as Chatbot Arena's style control; None where no style is known.

    A battle's features are $(a - b)/(a + b + 1)$ of each count, less their mean, over their standard deviation, and
    stand in the logit beside the ratings' difference; the penalty is ¼ of the squared coefficients, of ratings (in
    powers of ten) and features together (FastChat's `compute_style_control`). arena-rank's default penalty is far
    heavier and hides most of the effect.

    `by_rater`: votes of one rater are no independent ones (see `clusters`); None with too few raters for it.
    """
    import numpy as np

    known = [(battle, both) for battle in battles if (both := styled(battle)) is not None]
    kept = [battle for battle, _ in known]
    if not kept or (by_rater and not are_enough(kept)):
        return None
    first = np.array([both[0] for _, both in known], dtype=np.float64)
    second = np.array([both[1] for _, both in known], dtype=np.float64)
    features = (first - second) / (first + second + 1)
    spread = features.std(axis=0)
    named = [(number, name) for number, name in enumerate(FEATURES) if spread[number] > 0]
    columns = [number for number, _ in named]
    features = (features - features.mean(axis=0))[:, columns] / spread[columns]
    cells = _one_by_one(kept, by_rater=by_rater)
    found = bradley_terry.fit(cells, features=features, penalty=PENALTY)
    size = len(cells.models)
    effects = {
        name: _effect(found.coefficients[at], found.covariance[size + at, size + at], 1.0)
        for at, (_, name) in enumerate(named)
    }
    return StyleControl(ratings=of_fit(kept, cells, found, anchor), effects=effects, battles=len(kept))


def side_of(battles: Sequence[Battle], *, by_rater: bool = False) -> Side:
    """What the side does, among these battles; `by_rater` as in `control_style`, for its points."""
    import numpy as np

    wins = sum(battle.winner == "model_a" for battle in battles)
    decided = sum(not battle.is_tie for battle in battles)
    low, high = wilson(wins, decided) if decided else (None, None)
    points = None
    if 0 < wins < decided:
        cells = bradley_terry.cells_of(battles, by_rater=by_rater)
        found = bradley_terry.fit(cells, features=np.ones((len(cells.count), 1)))
        points = _effect(found.coefficients[0], found.covariance[-1, -1], POINTS)
    return Side(wins_a=wins, decided=decided, low=low, high=high, points=points)


def wilson(wins: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927).

    >>> [round(bound, 3) for bound in wilson(5, 10)]
    [0.237, 0.763]
    """
    share, grown = wins / of, 1 + Z**2 / of
    middle = (share + Z**2 / (2 * of)) / grown
    wide = Z / grown * math.sqrt(share * (1 - share) / of + Z**2 / (4 * of**2))
    return max(middle - wide, 0.0), min(middle + wide, 1.0)


def _effect(value: float, variance: float, scale: float) -> Effect:
    wide = Z * math.sqrt(max(variance, 0.0))
    return Effect(float(scale * value), float(scale * (value - wide)), float(scale * (value + wide)))


def _one_by_one(battles: Sequence[Battle], *, by_rater: bool) -> Cells:
    """A cell for each battle, in their order: no two look the same."""
    import numpy as np

    models = tuple(sorted({name for battle in battles for name in (battle.model_a, battle.model_b)}))
    place = {name: number for number, name in enumerate(models)}
    return Cells(
        models=models,
        first=np.array([place[battle.model_a] for battle in battles], dtype=np.int64),
        second=np.array([place[battle.model_b] for battle in battles], dtype=np.int64),
        score=np.array([battle.score_a for battle in battles]),
        count=np.ones(len(battles)),
        rater=places_of(battles) if by_rater else None,
    )
