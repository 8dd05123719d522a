"""Ratings of battles drawn anew, thousands of times."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.evals.arena.bradley_terry import PENALTY, Cells

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_AT_ONCE = 100  # rounds that are solved together, while the next are drawn
_STEPS = 60
_SHARED_STEPS = 12
_CLOSE = 1e-6  # logits: 0.0002 points
_LONGEST = 2.0  # logits of one step
_FAR = 12.0  # logits from the mean: 2,000 points; only a model that won or lost everything gets there


class Rounds(NamedTuple):
    """What the rounds gave."""

    logits: Array
    """(rounds, models), each row's mean 0."""
    num_held: int
    """Rounds in which some model won or lost everything, so that a penalty had to hold its rating."""


def bootstrap(cells: Cells, start: Array, *, rounds: int, seed: int = 0, is_held: bool = False) -> Rounds:
    """The logits of each round, found for many rounds at a time, from the logits `start` of all battles.

    `is_held`: all battles' own fit needed a penalty, so every round has it.
    """
    import numpy as np

    pairs = _pairs_of(cells)
    made = np.empty((rounds, len(cells.models)))
    num_held = begin = 0
    for drawn in _draws(cells, rounds, seed):
        played, scored = _counted(pairs, drawn)
        found = _solved(pairs, played, scored, start, PENALTY if is_held else 0.0)
        lost = np.flatnonzero(~(np.abs(found).max(axis=1, initial=0.0) < _FAR))
        if len(lost) and not is_held:
            found[lost] = _newton(pairs, played[lost], scored[lost], start, PENALTY)
        num_held += len(lost)
        made[begin : begin + len(found)] = found
        begin += len(found)
    return Rounds(made - made.mean(axis=1, keepdims=True), rounds if is_held else num_held)


def _draws(cells: Cells, rounds: int, seed: int) -> Iterator[Array]:
    """How often each cell is drawn, in (some rounds, cells): as many battles as there are, with replacement.

    A multinomial over cells from the generator that FastChat's `compute_bootstrap_bt` takes: for the same cells in the
    same order and seed 0 these are its draws. Drawing takes longer than solving, and another thread does it meanwhile;
    the generator goes from row to row, so that the rounds do not depend on how many are drawn at a time.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    shares = cells.count / cells.count.sum()
    sizes = [min(_AT_ONCE, rounds - begin) for begin in range(0, rounds, _AT_ONCE)]

    def draw(size: int) -> Array:
        return random.multinomial(cells.num_battles, shares, size=size)

    with ThreadPoolExecutor(max_workers=1) as other:
        coming = other.submit(draw, sizes[0])
        for size in sizes[1:]:
            drawn, coming = coming.result(), other.submit(draw, size)
            yield drawn
        yield coming.result()


class _Pairs(NamedTuple):
    """Unordered pairs of models that met: ratings do not ask who stood first."""

    low: Array
    high: Array
    signs: Any
    """Sparse, (pairs, models): 1 for the one, -1 for the other."""
    order: Array
    """(cells,) the cells, those of a pair together."""
    begins: Array
    """(pairs,) where in that order a pair's cells begin."""
    score: Array
    """(cells,) of the pair's first, in that order."""


def _pairs_of(cells: Cells) -> _Pairs:
    import numpy as np
    from scipy.sparse import csr_matrix

    size = len(cells.models)
    low, high = np.minimum(cells.first, cells.second), np.maximum(cells.first, cells.second)
    code = low * size + high
    order = np.argsort(code, kind="stable")
    codes, begins = np.unique(code[order], return_index=True)
    score = np.where(cells.first == low, cells.score, 1 - cells.score)[order]
    first, second = np.divmod(codes, max(size, 1))
    row, one = np.arange(len(codes)), np.ones(len(codes))
    where = np.concatenate([row, row]), np.concatenate([first, second])
    signs = csr_matrix((np.concatenate([one, -one]), where), shape=(len(codes), size))
    return _Pairs(first, second, signs, order, begins, score)


def _counted(pairs: _Pairs, drawn: Array) -> tuple[Array, Array]:
    """Battles of each pair, and the score of its first: (rounds, pairs) each."""
    import numpy as np

    together = drawn[:, pairs.order].astype(np.float64)
    played = np.add.reduceat(together, pairs.begins, axis=1)
    together *= pairs.score
    return played, np.add.reduceat(together, pairs.begins, axis=1)


def _solved(pairs: _Pairs, played: Array, scored: Array, start: Array, penalty: float) -> Array:
    """(rounds, models) logits.

    First with the curvature of all rounds together, which is nearly every round's own and is inverted once; a round
    that does not get there so, because it has few battles, goes on by Newton's method.
    """
    import numpy as np
    from scipy.special import expit

    chance = expit(pairs.signs @ start)
    weights = (played.mean(axis=0) * chance * (1 - chance))[:, None]
    bend = pairs.signs.T @ (weights * pairs.signs.toarray()) + penalty * np.eye(len(start))
    height = np.trace(bend) / max(len(start), 1) + 1e-12
    inverse = np.linalg.inv(bend + height / max(len(start), 1) + 1e-9 * height * np.eye(len(start)))
    found = np.tile(start, (len(played), 1))
    active = np.arange(len(played))
    for _ in range(_SHARED_STEPS):
        now, own = found[active], played[active]
        step = _slope(pairs, own, scored[active], now, penalty) @ inverse
        longest = np.abs(step).max(axis=1, initial=0.0)
        # A step that is long leads nowhere sure with another round's curvature: Newton's method begins where it began.
        found[active] = np.where((longest < _LONGEST)[:, None], now + step, start)
        active = active[~(longest <= _CLOSE)]
        if not len(active):
            return found
    found[active] = _newton(pairs, played[active], scored[active], start, penalty)
    return found


def _slope(pairs: _Pairs, played: Array, scored: Array, now: Array, penalty: float) -> Array:
    import numpy as np
    from scipy.special import expit

    missing = now[:, pairs.low] - now[:, pairs.high]
    expit(missing, out=missing)
    missing *= played
    return np.asarray((scored - missing) @ pairs.signs) - penalty * now


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
        weights = played[active] * chance * (1 - chance)
        bend = np.zeros((len(active), size, size))
        bend[:, low, high] = -weights
        bend[:, high, low] = -weights
        diagonal = -bend.sum(axis=2)
        height = diagonal.mean(axis=1, keepdims=True) + 1e-12
        bend += (height / size)[:, :, None]  # all ratings may rise together, none need to
        bend[:, np.arange(size), np.arange(size)] += diagonal + penalty + 1e-9 * height
        slope = _slope(pairs, played[active], scored[active], now, penalty)
        step = np.linalg.solve(bend, slope[:, :, None])[:, :, 0]
        longest = np.abs(step).max(axis=1, initial=0.0)
        found[active] = now + step * np.minimum(1.0, _LONGEST / np.maximum(longest, 1e-300))[:, None]
        is_out = np.abs(found[active]).max(axis=1, initial=0.0) > 2 * _FAR
        active = active[(longest > _CLOSE) & ~is_out]
        if not len(active):
            break
    return found
