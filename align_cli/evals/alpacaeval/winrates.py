"""Win rates of a model against the reference, as AlpacaEval's leaderboard counts them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class WinRates:
    """AlpacaEval's columns of one model; rates and errors in percent."""

    win_rate: float | None
    """The mean preference; None without verdicts."""
    standard_error: float | None
    """Of that mean; None with fewer than two verdicts."""
    n_wins: int
    n_wins_base: int
    """The reference's."""
    n_draws: int
    n_total: int
    """Verdicts."""
    discrete_win_rate: float | None
    """Wins and half the draws among verdicts; None without verdicts."""


def win_rates(preferences: Sequence[float | None]) -> WinRates:
    """Counts and means of preferences: 0 where the reference's answer is better, 1 the model's, None without verdict.

    The standard error is the sample's standard deviation over the square root of its size.

    >>> win_rates([1.0, 0.75, 0.5, 0.0, None]).win_rate
    56.25
    """
    known = [one for one in preferences if one is not None]
    total = len(known)
    wins = sum(one > 0.5 for one in known)
    losses = sum(one < 0.5 for one in known)
    draws = total - wins - losses
    mean = math.fsum(known) / total if total else None
    error = None
    if mean is not None and total > 1:
        error = math.sqrt(math.fsum((one - mean) ** 2 for one in known) / (total - 1) / total)
    return WinRates(
        win_rate=None if mean is None else 100 * mean,
        standard_error=None if error is None else 100 * error,
        n_wins=wins,
        n_wins_base=losses,
        n_draws=draws,
        n_total=total,
        discrete_win_rate=100 * (wins + draws / 2) / total if total else None,
    )


def preference_of(stored: object) -> float | None:
    """A preference as AlpacaEval's files store it, in 0 to 1.

    There 1 is for the reference, 2 for the model and 1.5 a draw; old files write a draw as 0. Null, NaN and anything
    else, such as the -1 of its cache, are no verdict.

    >>> preference_of(1.25), preference_of(0), preference_of(-1)
    (0.25, 0.5, None)
    """
    if isinstance(stored, bool) or not isinstance(stored, int | float):
        return None
    if stored == 0:
        return 0.5
    return stored - 1.0 if 1 <= stored <= 2 else None
