r"""Logistic regression with soft targets and an L1 penalty, stopped where LIBLINEAR stops.

AlpacaEval's length-controlled win rates come from scikit-learn's `LogisticRegressionCV(solver="liblinear")`. LIBLINEAR
stops early: the exact optimum gives win rates that differ in the second or third digit after the point. So this is
newGLMNET (Yuan, Ho & Lin 2012, JMLR 13, sec. 5) with LIBLINEAR's tolerances, limits and order of coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

#: scikit-learn's `Cs=10`: 10^-4 to 10^4.
GRID = 10
FOLDS = 5
#: AlpacaEval's `random_state`.
RANDOM_STATE = 123
_TOLERANCE = 1e-4  # of the first step's violations, less the rarer label's share: scikit-learn's `tol`
_MAX_STEPS = 100  # scikit-learn's `max_iter`
# LIBLINEAR's own, in solve_l1r_lr of linear.cpp:
_MAX_CYCLES = 1000
_MAX_HALVINGS = 20
_MAX_IDLE = 10  # steps in a row in which no coordinate moved
_RIDGE = 1e-12  # of the curvature
_DECREASE = 0.01  # of what the slope promises, to accept a step
_SHORTEST, _LONGEST = 1e-12, 10.0  # of a coordinate's move
_EDGE = 1e-15  # probabilities are kept this far from 0 and 1 when they are scored


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What a regression is fitted to."""

    features: Array
    """(rows, features) float64; a constant among them where there is to be one."""
    target: Array
    """(rows,) probabilities of label 1, in [0, 1]."""
    weight: Array
    """(rows,) positive."""

    def rows(self, chosen: Array) -> Sample:
        """Those that a mask or places choose."""
        return Sample(features=self.features[chosen], target=self.target[chosen], weight=self.weight[chosen])


class Fit(NamedTuple):
    """Where the search stopped."""

    coefficients: tuple[float, ...]
    """One a feature."""
    num_steps: int
    """Newton steps; 100 of them means that it did not converge."""


def fit(sample: Sample, *, C: float, seed: int) -> Fit:  # noqa: N803 - the field's letter
    r"""The coefficients that minimise $\|\beta\|_1 + C \sum_i w_i (\log(1 + e^{z_i}) - p_i z_i)$, $z = X\beta$, nearly.

    LIBLINEAR sees each row twice, with label 1 and weight $w p$ and with label 0 and weight $w (1 - p)$; copies of
    weight 0 it leaves out. Both share $z$, so the sums here run over rows once; only the tolerances count copies.

    Each step minimises the second-order model of the loss by cycles of coordinate descent, in random order, and goes
    as far towards its minimum as the objective allows.
    """
    import numpy as np

    search = _Search.start(sample, C, seed)
    share, num_steps = 1.0, 0
    violation = first = search.look()
    while violation > search.tolerance * first and search.num_idle < _MAX_IDLE and num_steps < _MAX_STEPS:
        if search.descend(share * first) == 1:
            share /= 4
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow fails the comparison, and the step is halved
            search.move()
        num_steps += 1
        violation = search.look()
    return Fit(tuple(search.at), num_steps)


def choose_c(sample: Sample) -> float:
    r"""The C of scikit-learn's grid under which held-out rows are predicted best.

    Row $i$ of $n$ is held out in fold $(n - 1 - i) \bmod 5$, as `GroupKFold` deals groups of one size. A fold's score
    is the mean of $w (p \log q + (1 - p) \log(1 - q))$; among equal sums of scores the smallest C is taken.
    """
    import numpy as np

    grid = np.logspace(-4, 4, GRID)
    seeds = solver_seeds(GRID)  # of one stream for all C, begun anew in each fold
    size = len(sample.target)
    fold = (size - 1 - np.arange(size)) % FOLDS
    scores = np.zeros(GRID)
    for number in range(FOLDS):
        kept, held = sample.rows(fold != number), sample.rows(fold == number)
        scores += [score(held, fit(kept, C=C, seed=seed).coefficients) for C, seed in zip(grid, seeds, strict=True)]
    return float(grid[np.argmax(scores)])


def score(sample: Sample, coefficients: Sequence[float]) -> float:
    """The mean over rows of weight times log-likelihood; nearer 0 is better."""
    import numpy as np

    said = np.clip(probabilities(sample.features, coefficients), _EDGE, 1 - _EDGE)
    gained = sample.target * np.log(said) + (1 - sample.target) * np.log(1 - said)
    return float(np.mean(gained * sample.weight))


def probabilities(features: Array, coefficients: Sequence[float]) -> Array:
    """Of label 1: (rows,)."""
    import numpy as np

    said: Array = np.exp(-np.logaddexp(0, -(features @ np.asarray(coefficients))))
    return said


def solver_seeds(count: int) -> list[int]:
    """The seeds that scikit-learn draws for LIBLINEAR, one a fit, from `RandomState(123)`."""
    import numpy as np

    random = np.random.RandomState(RANDOM_STATE)
    return [int(random.randint(np.iinfo(np.int32).max)) for _ in range(count)]


@dataclass(kw_only=True, slots=True)
class _Search:
    """LIBLINEAR's state between Newton steps."""

    features: Array
    cost: Array
    """(rows,) C times weight: of both copies."""
    pull: Array
    """(features,) of the loss' gradient, what the copies with label 0 add, wherever the search is."""
    num_copies: int
    tolerance: float
    """Of the first violation."""
    random: Iterator[int]
    order: list[int]
    """Features; those that take part stand first."""
    at: list[float]
    """Where the search is."""
    goal: list[float]
    """Where its step leads; it outlives a step that failed."""
    odds: Array
    """(rows,) e^z."""
    expected: Array
    """(rows,) cost times the probability of label 0."""
    bend: Array
    """(rows,) cost times p (1 - p)."""
    gradient: list[float]
    curvature: list[list[float]]
    worst: float = math.inf
    """The largest violation before the last step: it decides which features are left out."""
    num_active: int = 0
    num_idle: int = 0
    moved: list[float]
    """The step, as it stands now."""

    @classmethod
    def start(cls, sample: Sample, C: float, seed: int) -> _Search:  # noqa: N803 - the field's letter
        """At zero."""
        import numpy as np

        rows, size = sample.features.shape
        cost = C * sample.weight
        num_one = int(np.count_nonzero(sample.weight * sample.target))
        num_zero = int(np.count_nonzero(sample.weight * (1 - sample.target)))
        return cls(
            features=sample.features,
            cost=cost,
            pull=(cost * (1 - sample.target)) @ sample.features,
            num_copies=num_one + num_zero,
            tolerance=_TOLERANCE * max(min(num_one, num_zero), 1) / (num_one + num_zero),
            random=twister(seed),
            order=list(range(size)),
            at=[0.0] * size,
            goal=[0.0] * size,
            moved=[0.0] * size,
            odds=np.ones(rows),
            expected=cost / 2,
            bend=cost / 4,
            gradient=[],
            curvature=[],
        )

    def look(self) -> float:
        """Derivatives here; the sum of violations of the optimum's conditions, by features that take part."""
        self.gradient = (self.pull - self.expected @ self.features).tolist()
        self.curvature = ((self.features.T * self.bend) @ self.features).tolist()
        total, worst = 0.0, 0.0
        num_active, place = len(self.order), 0
        while place < num_active:
            feature = self.order[place]
            violation = _violation(self.at[feature], self.gradient[feature], self.worst / self.num_copies)
            if violation is None:
                num_active -= 1
                _swap(self.order, place, num_active)
                continue
            total, worst = total + violation, max(worst, violation)
            place += 1
        self.num_active, self.worst = num_active, worst
        return total

    def descend(self, enough: float) -> int:
        """Cycle through the features until their violations of the model's optimum sum up to `enough`; gives cycles."""
        self.num_idle += 1
        self.moved = [0.0] * len(self.at)
        num_active, worst = self.num_active, math.inf
        for cycle in range(1, _MAX_CYCLES + 1):
            total, now_worst = 0.0, 0.0
            for place in range(num_active):
                _swap(self.order, place, place + bounded(num_active - place, self.random))
            place = 0
            while place < num_active:
                feature = self.order[place]
                slope = self._slope(feature)
                violation = _violation(self.goal[feature], slope, worst / self.num_copies)
                if violation is None:
                    num_active -= 1
                    _swap(self.order, place, num_active)
                    continue
                place += 1
                step = _best(self.goal[feature], slope, self.curvature[feature][feature] + _RIDGE)
                if abs(step) < _SHORTEST:
                    continue
                step = min(max(step, -_LONGEST), _LONGEST)
                self.num_idle = 0
                total, now_worst = total + violation, max(now_worst, violation)
                self.goal[feature] += step
                self.moved[feature] += step
            worst = now_worst
            if total <= enough:
                if num_active == self.num_active:
                    return cycle
                num_active, worst = self.num_active, math.inf
        return _MAX_CYCLES

    def move(self) -> None:
        """Go to the goal, or half as far, or half of that, until the objective falls as much as the slope promises."""
        import numpy as np

        norm, goal_norm = _norm(self.at), _norm(self.goal)
        slope = sum(
            one * (there - here) for one, there, here in zip(self.gradient, self.goal, self.at, strict=True)
        ) + (goal_norm - norm)
        pull = float(self.pull @ np.array(self.moved))
        shift = self.features @ np.array(self.moved)
        for _ in range(_MAX_HALVINGS):
            factor = np.exp(shift)
            odds = self.odds * factor
            rise = goal_norm - norm + pull + float(self.cost @ np.log((1 + odds) / (factor + odds)))
            if rise <= _DECREASE * slope:
                share = 1 / (1 + odds)
                self.at, self.odds = list(self.goal), odds
                self.expected, self.bend = self.cost * share, self.cost * odds * share * share
                return
            self.goal = [(here + there) * 0.5 for here, there in zip(self.at, self.goal, strict=True)]
            goal_norm = _norm(self.goal)
            slope, pull, shift = slope / 2, pull / 2, shift / 2
        self.odds = np.exp(self.features @ np.array(self.at))

    def _slope(self, feature: int) -> float:
        """Of the model of the loss, at the goal."""
        row = self.curvature[feature]
        bent = sum(bend * moved for bend, moved in zip(row, self.moved, strict=True))
        return self.gradient[feature] + (self.goal[feature] - self.at[feature]) * _RIDGE + bent


def _violation(value: float, slope: float, margin: float) -> float | None:
    """How far |value| and a loss of this slope are from a minimum; None if zero is one by more than the margin."""
    if value > 0:
        return abs(slope + 1)
    if value < 0:
        return abs(slope - 1)
    if abs(slope) > 1:
        return abs(slope) - 1
    return None if 1 - abs(slope) > margin else 0.0


def _best(value: float, slope: float, curvature: float) -> float:
    """The step to the minimum of |value| and a parabola."""
    if slope + 1 < curvature * value:
        return -(slope + 1) / curvature
    if slope - 1 > curvature * value:
        return -(slope - 1) / curvature
    return -value


def _norm(values: Sequence[float]) -> float:
    return sum(abs(one) for one in values)


def _swap(values: list[int], one: int, other: int) -> None:
    values[one], values[other] = values[other], values[one]


def twister(seed: int) -> Iterator[int]:
    """The 32-bit words of C++'s `std::mt19937`, which NumPy's `RandomState` seeds alike."""
    import numpy as np

    random = np.random.RandomState(seed)
    while True:
        yield from random.randint(0, 2**32, size=256, dtype=np.uint32).tolist()


def bounded(limit: int, words: Iterator[int]) -> int:
    """A whole number below `limit`, each as likely: Lemire 2019 (arXiv 1805.10941), algorithm 5."""
    product = next(words) * limit
    if product % 2**32 < limit:
        refused = -limit % 2**32 % limit
        while product % 2**32 < refused:
            product = next(words) * limit
    return product >> 32
