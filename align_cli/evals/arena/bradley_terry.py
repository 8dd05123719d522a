r"""The Bradley–Terry model: one number a model, whose differences say how often it wins.

In its own units a rating is a logit: two models that differ by $d$ meet with $\sigma(d)$ for the better one.
`ratings` turns logits into the points that people know from chess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.clusters import middle, places_of

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

#: Of the mean curvature; added to the whole one before it is inverted, as lmarena's arena-rank does.
RIDGE = 1e-5
#: Of the squared logits, halved: FastChat's style control has ½·½‖r‖² with r in powers of ten. `held` fits use it.
PENALTY = 0.5 / 2.302585092994046**2
_STEPS = 100
_CLOSE = 1e-10  # logits: a step this short ends the search
_LONGEST = 2.0  # logits of one step


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Battles, equal ones counted."""

    models: tuple[str, ...]
    """Sorted by name, so that the battles' order makes no difference."""
    first: Array
    """(cells,) place of the model that stood first."""
    second: Array
    score: Array
    """(cells,) of the first: 1, ½ or 0."""
    count: Array
    """(cells,) battles."""
    rater: Array | None = None
    """(cells,) whose votes they are, from 0; None: every vote is taken as independent."""

    @property
    def num_battles(self) -> int:
        """All of them."""
        return int(self.count.sum())


class Fit(NamedTuple):
    """Logits at the optimum."""

    logits: Array
    """(models,), mean 0."""
    coefficients: Array
    """(features,) of style or position; empty without."""
    covariance: Array
    """(models + features, models + features)."""
    is_held: bool
    """Some ratings would be infinite, and a penalty holds them."""


def cells_of(battles: Sequence[Battle], *, by_rater: bool = False) -> Cells:
    """The battles' cells, sorted by first model, second model and score, as FastChat's `preprocess_for_bt` sorts.

    `by_rater`: each rater has cells of their own.
    """
    import numpy as np

    models = tuple(sorted({name for battle in battles for name in (battle.model_a, battle.model_b)}))
    place = {name: number for number, name in enumerate(models)}
    size = len(models)
    codes = np.fromiter(
        (
            (place[one.model_a] * size + place[one.model_b]) * 3 + (1 if one.is_tie else 2 * (one.winner == "model_a"))
            for one in battles
        ),
        dtype=np.int64,
        count=len(battles),
    )
    kinds = 3 * size * size
    found, counts = np.unique(codes + kinds * places_of(battles) if by_rater else codes, return_counts=True)
    rater, code = np.divmod(found, max(kinds, 1))
    pair, outcome = np.divmod(code, 3)
    first, second = np.divmod(pair, max(size, 1))
    return Cells(
        models=models, first=first, second=second, score=outcome / 2.0, count=counts.astype(np.float64),
        rater=rater if by_rater else None,
    )  # fmt: skip


def fit(cells: Cells, *, features: Array | None = None, penalty: float | None = None) -> Fit:
    r"""The most likely logits, by Newton's method, with the covariance of their estimate.

    Maximises $\sum_c n_c [y_c \ln p_c + (1 - y_c) \ln(1 - p_c)]$ with $p_c = \sigma(r_a - r_b + f_c \cdot \beta)$
    (Bradley & Terry 1952; a tie is half a win, as in FastChat's `rating_systems.py`), less
    $\frac{\lambda}{2} \lVert r \rVert^2 + \frac{\lambda_f}{2} \lVert \beta \rVert^2$ with $\lambda$ the `penalty`
    and $\lambda_f = \lambda \ln^2 10$: FastChat's penalty on ratings in powers of ten.
    Without a penalty of the caller's there is one only where the optimum is at infinity (`is_bounded`).

    The covariance is the sandwich $H^{-1} G H^{-1}$ with $H = \sum_c n_c p_c (1 - p_c) x_c x_c^\top + \epsilon N I$ and
    $G = \sum_c n_c (y_c - p_c)^2 x_c x_c^\top$ (Huber 1967; White 1982; $\epsilon$ as arena-rank), which is right where
    ties make votes vary less than coin throws do. Where cells are raters', $G$ is that of `clusters`.

    `features`: (cells, k), already on their scale.
    """
    import numpy as np

    num_models, num_cells = len(cells.models), len(cells.count)
    extra = np.zeros((num_cells, 0)) if features is None else features
    is_held = not is_bounded(cells)
    if penalty is None:
        penalty = PENALTY if is_held else 0.0
    size = num_models + extra.shape[1]
    weight = np.full(size, penalty)
    weight[num_models:] *= np.log(10) ** 2
    found = np.zeros(size)
    value = _loss(cells, extra, weight, found)
    for _ in range(_STEPS):
        chance = _chance(cells, extra, found)
        slope = _gradient(cells, extra, cells.count * (cells.score - chance)) - weight * found
        bend = _curvature(cells, extra, cells.count * chance * (1 - chance)) + np.diag(weight)
        step = np.linalg.solve(bend + _pinned(bend, num_models), slope)
        step *= min(1.0, _LONGEST / max(float(np.abs(step).max(initial=0.0)), 1e-300))
        while (after := _loss(cells, extra, weight, found + step)) > value and np.abs(step).max(initial=0.0) > _CLOSE:
            step = step / 2
        found, value = found + step, after
        if np.abs(step).max(initial=0.0) <= _CLOSE:
            break
    found[:num_models] -= found[:num_models].mean() if num_models else 0.0
    chance = _chance(cells, extra, found)
    bend = _curvature(cells, extra, cells.count * chance * (1 - chance)) + np.diag(weight)
    bend += np.eye(size) * RIDGE * cells.count.sum()
    spread = _spread(cells, extra, cells.score - chance)
    inverse = np.linalg.inv(bend) if size else bend
    return Fit(found[:num_models], found[num_models:], inverse @ spread @ inverse, is_held)


def is_bounded(cells: Cells) -> bool:
    """Whether the optimum is finite: no group of models only ever won against the others (Ford 1957)."""
    return len(cells.models) < 2 or _parts(cells, "strong").max(initial=0) == 0


def groups(cells: Cells) -> list[list[str]]:
    """Models that are joined by battles, even through others; ratings of different groups cannot be compared."""
    found: dict[int, list[str]] = {}
    for name, part in zip(cells.models, _parts(cells, "weak"), strict=True):
        found.setdefault(int(part), []).append(name)
    return list(found.values())


def _parts(cells: Cells, kind: str) -> Array:
    """(models,) the part of the graph "did not always lose to" that each is in."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    won = cells.score > 0
    lost = cells.score < 1
    starts = np.concatenate([cells.first[won], cells.second[lost]])
    ends = np.concatenate([cells.second[won], cells.first[lost]])
    size = len(cells.models)
    graph = coo_matrix((np.ones(len(starts)), (starts, ends)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=True, connection=kind)[1])


def _chance(cells: Cells, extra: Array, found: Array) -> Array:
    """(cells,) of the first to win."""
    from scipy.special import expit

    size = len(cells.models)
    return expit(found[cells.first] - found[cells.second] + extra @ found[size:])  # type: ignore[no-any-return]


def _loss(cells: Cells, extra: Array, weight: Array, found: Array) -> float:
    import numpy as np

    size = len(cells.models)
    logit = found[cells.first] - found[cells.second] + extra @ found[size:]
    missed = np.logaddexp(0.0, logit) - cells.score * logit
    return float((cells.count * missed).sum() + (weight * found**2).sum() / 2)


def _gradient(cells: Cells, extra: Array, values: Array) -> Array:
    r"""$\sum_c v_c x_c$."""
    import numpy as np

    size = len(cells.models)
    of_models = np.bincount(cells.first, values, size) - np.bincount(cells.second, values, size)
    return np.concatenate([of_models, values @ extra])


def _spread(cells: Cells, extra: Array, missed: Array) -> Array:
    """The middle of the sandwich."""
    import numpy as np

    if cells.rater is None:
        return _curvature(cells, extra, cells.count * missed**2)
    size = len(cells.models)
    scores = np.zeros((int(cells.rater.max(initial=-1)) + 1, size + extra.shape[1]))
    values = cells.count * missed
    np.add.at(scores, (cells.rater, cells.first), values)
    np.add.at(scores, (cells.rater, cells.second), -values)
    np.add.at(scores[:, size:], cells.rater, values[:, None] * extra)
    return middle(scores)


def _curvature(cells: Cells, extra: Array, values: Array) -> Array:
    r"""$\sum_c v_c x_c x_c^\top$."""
    import numpy as np

    size, more = len(cells.models), extra.shape[1]
    both = np.bincount(cells.first * size + cells.second, values, size * size).reshape(size, size)
    both = both + both.T
    made = np.zeros((size + more, size + more))
    made[:size, :size] = np.diag(both.sum(axis=1)) - both
    for number in range(more):
        column = _gradient(cells, extra, values * extra[:, number])
        made[size + number], made[:, size + number] = column, column
    return made


def _pinned(bend: Array, num_models: int) -> Array:
    """What makes the curvature invertible without moving the optimum: all ratings may rise together, none need to."""
    import numpy as np

    made = np.zeros_like(bend)
    height = float(np.trace(bend[:num_models, :num_models])) / max(num_models, 1) or 1.0
    made[:num_models, :num_models] = height / max(num_models, 1)
    return made + np.eye(len(bend)) * (1e-9 * height)
