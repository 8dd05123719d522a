"""Bradley–Terry ratings with 1,000 bootstrap rounds, against FastChat's way of doing it, in one run.

The peer is the algorithm of FastChat's `serve/monitor/rating_systems.py` (2024-08 and later), written down here from
its description: equal battles counted, SciPy's L-BFGS-B from zero with the gradient given and gtol 1e-6, at most 100
steps, a round's counts drawn from one multinomial and divided by their sum, the rounds spread over a pool of as many
processes as there are cores. It starts from the same counted cells, so neither side's reading of battles is in the
figure, and both draw the same numbers: round by round the ratings can be compared.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Row

_BATTLES, _MODELS, _ROUNDS = 100_000, 50, 1_000
_TIMES = 3
_SCALE = 400.0


def rows(scratch: Path) -> list[Row]:
    """Wall seconds from counted battles to ratings and bounds; ours the median of three, the peer's one."""
    import numpy as np

    from align_cli.evals.arena import bradley_terry
    from align_cli.evals.arena.bootstrap import bootstrap
    from align_cli.evals.arena.ratings import POINTS

    cells = _cells()
    taken = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        fit = bradley_terry.fit(cells)
        rounds = bootstrap(cells, fit.logits, rounds=_ROUNDS)
        bounds = np.quantile(rounds.logits, (0.025, 0.975), axis=0)
        taken.append(time.perf_counter() - start)
    ours = sorted(taken)[_TIMES // 2]

    start = time.perf_counter()
    their_fit, their_rounds = _peer(cells)
    their_bounds = np.quantile(their_rounds, (0.025, 0.975), axis=0)
    theirs = time.perf_counter() - start

    off = float(np.abs(POINTS * fit.logits - _SCALE * their_fit).max())
    off_bounds = float(np.abs(POINTS * bounds - _SCALE * their_bounds).max())
    what = f"{_ROUNDS:,} bootstrap rounds, {_BATTLES:,} battles, {_MODELS} models"
    cores = f"{theirs:.2f} s on {os.cpu_count()} cores"
    return [
        Row(what, f"{ours:.2f} s", cores, f"{theirs / ours:.1f}x", ">= 10x", theirs >= 10 * ours),
        Row("  farthest rating, points", f"{off:.4f}", "-", "-", "<= 0.1", off <= 0.1),
        Row("  farthest bound, points", f"{off_bounds:.4f}", "-", "-", "<= 0.1", off_bounds <= 0.1),
    ]


def _cells() -> Any:
    """Battles drawn from ratings 100 points about their mean, a quarter of them ties."""
    import numpy as np

    from align_cli.evals.arena import bradley_terry
    from align_cli.evals.arena.battles import Battle

    random = np.random.default_rng(1)
    strengths = random.normal(0, 0.6, _MODELS)
    a = random.integers(0, _MODELS, _BATTLES)
    b = (a + 1 + random.integers(0, _MODELS - 1, _BATTLES)) % _MODELS
    wins = random.random(_BATTLES) < 1 / (1 + np.exp(strengths[b] - strengths[a]))
    ties = random.random(_BATTLES) < 0.25
    battles = [
        Battle(
            id=str(number),
            model_a=f"m{a[number]:02}",
            model_b=f"m{b[number]:02}",
            winner="tie" if ties[number] else "model_a" if wins[number] else "model_b",
        )
        for number in range(_BATTLES)
    ]
    return bradley_terry.cells_of(battles)


def _peer(cells: Any) -> tuple[Any, Any]:
    """Ratings in powers of ten, of all battles and of each round, each with the mean 0."""
    import numpy as np

    total, size = int(cells.count.sum()), len(cells.models)
    random = np.random.default_rng(seed=0)
    drawn = random.multinomial(total, cells.count / total, size=_ROUNDS).astype(np.float64) / total
    pair = np.column_stack([cells.first, cells.second])
    one = partial(_most_likely, pair, cells.score, size)
    with multiprocessing.Pool(os.cpu_count()) as pool:
        rounds = np.array(list(pool.imap(one, drawn)))
    all_battles = one(cells.count)
    return all_battles - all_battles.mean(), rounds - rounds.mean(axis=1, keepdims=True)


def _most_likely(pair: Any, score: Any, size: int, count: Any) -> Any:
    import numpy as np
    from scipy.optimize import minimize

    arguments = (pair, score, count)
    options = {"maxiter": 100, "gtol": 1e-6}
    return minimize(_loss, np.zeros(size), args=arguments, jac=True, method="L-BFGS-B", options=options).x


def _loss(ratings: Any, pair: Any, score: Any, count: Any) -> tuple[float, Any]:
    import numpy as np
    from scipy.special import expit

    base = math.log(10.0)
    chance = expit(base * (ratings[pair[:, 0]] - ratings[pair[:, 1]]))
    missed = -((np.log(chance) * score + np.log(1.0 - chance) * (1.0 - score)) * count).sum()
    slope = np.zeros_like(ratings)
    pull = -base * (score - chance) * count
    np.add.at(slope, pair, pull[:, None] * np.array([1.0, -1.0]))
    return missed, slope
