"""Ratings of battles drawn anew, thousands of times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.evals.arena.bradley_terry import PENALTY, Cells

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_AT_ONCE = 32_000_000  # bytes of matrices that are solved together
_STEPS = 60
_CLOSE = 1e-6  # logits: 0.0002 points
_LONGEST = 2.0  # logits of one step
_FAR = 12.0  # logits from the mean: 2,000 points; only a model that won or lost everything gets there


class Rounds(NamedTuple):
    """What the rounds gave."""

    logits: Array
    """(rounds, models), each row's mean 0."""
    num_held: int
    """Rounds in which some model won or lost everything, so that a penalty had to hold its rating."""


def draw(cells: Cells, *, rounds: int, seed: int = 0) -> Array:
    """(rounds, cells) how often each cell is drawn: as many battles as there are, with replacement.

    A multinomial over cells, with the generator that FastChat's `compute_bootstrap_bt` takes: for the same cells in the
    same order and seed 0 the draws are FastChat's.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    return random.multinomial(cells.num_battles, cells.count / cells.count.sum(), size=rounds)


def bootstrap(cells: Cells, start: Array, *, rounds: int, seed: int = 0, is_held: bool = False) -> Rounds:
    """The logits of each round, by Newton's method for many rounds at a time, from the logits `start` of all battles.

    `is_held`: all battles' own fit needed a penalty, so every round has it.
    """
    import numpy as np

    pairs, played, scored = _by_pair(cells, draw(cells, rounds=rounds, seed=seed))
    size = len(cells.models)
    made = np.empty((rounds, size))
    num_held = 0
    step = max(_AT_ONCE // (8 * max(size, 1) ** 2), 1)
    for begin in range(0, rounds, step):
        part = slice(begin, begin + step)
        found = _newton(pairs, played[part], scored[part], start, PENALTY if is_held else 0.0)
        lost = np.flatnonzero(~(np.abs(found).max(axis=1, initial=0.0) < _FAR))
        if len(lost) and not is_held:
            found[lost] = _newton(pairs, played[part][lost], scored[part][lost], start, PENALTY)
        num_held += len(lost)
        made[part] = found
    return Rounds(made - made.mean(axis=1, keepdims=True), rounds if is_held else num_held)


class _Pairs(NamedTuple):
    """Unordered pairs of models that met: ratings do not ask who stood first."""

    low: Array
    high: Array
    signs: Array
    """(pairs, models) 1 for the one, -1 for the other."""


def _by_pair(cells: Cells, drawn: Array) -> tuple[_Pairs, Array, Array]:
    """Battles of each pair, and the score of its first: (rounds, pairs) each."""
    import numpy as np
    from scipy.sparse import csr_matrix

    size = len(cells.models)
    low, high = np.minimum(cells.first, cells.second), np.maximum(cells.first, cells.second)
    codes, place = np.unique(low * size + high, return_inverse=True)
    of_low = np.where(cells.first == low, cells.score, 1 - cells.score)
    rows = np.arange(len(place))
    belongs = csr_matrix((np.ones(len(place)), (rows, place)), shape=(len(place), len(codes)))
    counts = drawn.astype(np.float64)
    first, second = np.divmod(codes, max(size, 1))
    signs = np.zeros((len(codes), size))
    signs[np.arange(len(codes)), first] = 1.0
    signs[np.arange(len(codes)), second] -= 1.0
    pairs = _Pairs(first, second, signs)
    return pairs, np.asarray(counts @ belongs), np.asarray(counts @ belongs.multiply(of_low[:, None]).tocsr())


def _newton(pairs: _Pairs, played: Array, scored: Array, start: Array, penalty: float) -> Array:
    """(rounds, models) logits; rounds that are done leave the work."""
    import numpy as np
    from scipy.special import expit

    rounds, size = len(played), len(start)
    found = np.tile(start, (rounds, 1))
    active = np.arange(rounds)
    low, high = pairs.low, pairs.high
    for _ in range(_STEPS):
        now = found[active]
        chance = expit(now[:, low] - now[:, high])
        slope = (scored[active] - played[active] * chance) @ pairs.signs - penalty * now
        weights = played[active] * chance * (1 - chance)
        bend = np.zeros((len(active), size, size))
        bend[:, low, high] = -weights
        bend[:, high, low] = -weights
        diagonal = -bend.sum(axis=2)
        height = diagonal.mean(axis=1, keepdims=True) + 1e-12
        bend += (height / size)[:, :, None]  # all ratings may rise together, none need to
        bend[:, np.arange(size), np.arange(size)] += diagonal + penalty + 1e-9 * height
        step = np.linalg.solve(bend, slope[:, :, None])[:, :, 0]
        longest = np.abs(step).max(axis=1, initial=0.0)
        found[active] = now + step * np.minimum(1.0, _LONGEST / np.maximum(longest, 1e-300))[:, None]
        is_out = np.abs(found[active]).max(axis=1, initial=0.0) > 2 * _FAR
        active = active[(longest > _CLOSE) & ~is_out]
        if not len(active):
            break
    return found
