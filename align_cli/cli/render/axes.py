"""Where the numbers on an axis go: round ones, few of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_FEWEST = 3  # ticks, below which a logarithmic axis gets more than powers of ten


class Axis(NamedTuple):
    """The span that is drawn and the numbers written beside it, in drawn units: logarithms on a logarithmic axis."""

    low: float
    high: float
    ticks: list[float]
    labels: list[str]


def linear(values: Sequence[float], most: int, *, whole: bool = False) -> Axis:
    """An axis whose ends are round numbers around all values; `whole`: with whole numbers only."""
    low, high = min(values), max(values)
    if low == high:
        pad = abs(low) / 10 or 1.0
        low, high = low - pad, high + pad
    step = _round_step((high - low) / max(most - 1, 1))
    if whole:
        step = max(math.ceil(step), 1)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [number * step for number in range(first, last + 1)]
    return Axis(ticks[0], ticks[-1], ticks, [_label(tick, step) for tick in ticks])


def logarithmic(values: Sequence[float], most: int) -> Axis:
    """An axis of base-ten logarithms of `values`, all above zero, with the plain numbers as labels."""
    low, high = math.log10(min(values)), math.log10(max(values))
    if high - low < 1e-9:
        low, high = low - 0.1, high + 0.1
    for mantissas in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        ticks = [
            math.log10(mantissa) + power
            for power in range(math.floor(low), math.ceil(high) + 1)
            for mantissa in mantissas
        ]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= _FEWEST:
            every = math.ceil(len(inside) / most)
            return Axis(low, high, inside[::every], [f"{10**tick:.4g}" for tick in inside[::every]])
    ticks = [low + (high - low) * number / max(most - 1, 1) for number in range(most)]
    return Axis(low, high, ticks, [f"{10**tick:.4g}" for tick in ticks])


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in _ROUND if power * factor >= least * (1 - 1e-9))


def _label(tick: float, step: float) -> str:
    """With as many digits as tell ticks apart; large and tiny ones as powers of ten."""
    if abs(tick) < step / 2:
        return "0"
    if not 1e-4 <= max(abs(tick), step) < 1e6:
        return f"{tick:.3g}"
    digits = max(0, 1 - math.floor(math.log10(step) + 1e-9)) if step < 1 or step % 1 else 0
    text = f"{tick:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text and _is_round(step) else text


def _is_round(step: float) -> bool:
    return f"{step:.1e}"[2] == "0"
