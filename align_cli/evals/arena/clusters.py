r"""Votes of one person are alike: intervals for other raters, not for more votes of the same.

With $s_g = \sum_{i \in g} (y_i - p_i) x_i$, the summed scores of rater $g$'s votes, the middle of the sandwich is

$$G = \frac{R}{R - 1} \sum_{g=1}^{R} s_g s_g^\top$$

of $R$ raters (Liang & Zeger 1986; the factor as in Cameron & Miller 2015, *A Practitioner's Guide to Cluster-Robust
Inference*). Few raters make it too small, so that intervals are those of Student's t with $R - 1$ degrees of freedom
(as there). Chatbot Arena's own intervals, and arena-rank's, take every vote as independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from align_cli.errors import UsageError
from align_cli.evals.arena.battles import Battle

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_ONE_SIDE = 0.975  # of a 95 % interval


def places_of(battles: Sequence[Battle]) -> Array:
    """(battles,) which rater's each is; one whose rater is not known is nobody else's."""
    import numpy as np

    known: dict[str, int] = {}
    return np.array([known.setdefault(one.rater or f"\0{one.id}", len(known)) for one in battles], dtype=np.int64)


def demand(battles: Sequence[Battle]) -> None:
    """Raise where there are too few raters.

    Their scores add up to zero, so that $R$ raters know at most $R - 1$ differences: of more models some would have no
    spread at all.

    Raises:
        UsageError: naming how many there are and how many it takes.
    """
    if not any(one.rater for one in battles):
        raise UsageError("--cluster-by-rater: nothing is known of who voted", hint="leave it out")
    num_raters, num_models = _counts(battles)
    if num_raters < num_models:
        raise UsageError(
            f"--cluster-by-rater: {num_raters:,} rater{'' if num_raters == 1 else 's'} cannot tell how sure ratings of "
            f"{num_models:,} models are; it takes as many raters as models",
            hint="without it votes are taken as independent",
        )


def are_enough(battles: Sequence[Battle]) -> bool:
    """Whether `demand` is content."""
    num_raters, num_models = _counts(battles)
    return num_raters >= num_models


def _counts(battles: Sequence[Battle]) -> tuple[int, int]:
    """Raters, those who are not known among them, and models."""
    models = {name for one in battles for name in (one.model_a, one.model_b)}
    return len(set(places_of(battles).tolist())), len(models)


def middle(scores: Array) -> Array:
    """G, scaled so that ±1.96 standard deviations are the t interval. `scores`: (raters, parameters)."""
    from scipy.special import ndtri, stdtrit

    num_raters = len(scores)
    wider = stdtrit(num_raters - 1, _ONE_SIDE) / ndtri(_ONE_SIDE)
    return num_raters / (num_raters - 1) * wider**2 * (scores.T @ scores)  # type: ignore[no-any-return]
