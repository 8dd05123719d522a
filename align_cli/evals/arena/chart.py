"""Ratings with their intervals as a drawing: a line a model, the best on top."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from align_cli.evals.arena.ratings import Rating
from align_cli.evals.report.drawing import Drawing, Mark, Outline, Point, Shape, Words, fitted, width_of

_SIZE, _SMALL = 12.5, 10.5
_ROW = 24.0  # pixels
_NAME = 260.0  # the widest that a model's name may be
_PLOT = 420.0
_HEAD, _FOOT = 54.0, 16.0


def drawn(models: Sequence[Rating], *, title: str = "Rating and 95 % interval") -> Drawing:
    """A dot for the rating, a line for the interval, both in the model's colour; the numbers on the right."""
    names = [fitted(one.model, _SIZE, _NAME) for one in models]
    left = 20 + max([width_of(name, _SIZE, is_bold=True) for name in names] + [60.0]) + 14
    numbers = [f"{one.rating:.0f}  [{one.low:.0f}, {one.high:.0f}]" for one in models]
    right = max(width_of(number, _SMALL) for number in numbers) if numbers else 0.0
    width = left + _PLOT + 18 + right + 16
    height = _HEAD + _ROW * len(models) + _FOOT
    shapes: list[Shape] = [Words(at=Point(20, 24), text=title, size=14, is_bold=True)]
    low, high, step = _scale(models)

    def across(value: float) -> float:
        return left + _PLOT * (min(max(value, low), high) - low) / (high - low)

    shapes += _ticks(low, high, step, across, bottom=height - _FOOT)
    for number, (one, name, said) in enumerate(zip(models, names, numbers, strict=True)):
        y = _HEAD + _ROW * (number + 0.5)
        shapes.append(Words(at=Point(20, y + 4.5), text=name, size=_SIZE, is_bold=True, series=number))
        ends = [Point(across(one.low), y), Point(across(one.high), y)]
        shapes.append(Outline(points=ends, series=number, width=2))
        shapes += [Outline(points=[Point(end.x, y - 4), Point(end.x, y + 4)], series=number, width=2) for end in ends]
        shapes.append(Mark(at=Point(across(one.rating), y), series=number, title=f"{one.model}: {said}"))
        shapes.append(Words(at=Point(width - 16, y + 4), text=said, size=_SMALL, anchor="end", tone="quiet"))
    return Drawing(width=width, height=height, title=title, shapes=shapes)


def _scale(models: Sequence[Rating]) -> tuple[float, float, float]:
    """From, to and the distance of ticks: round numbers round all intervals."""
    low = min((one.low for one in models), default=900.0)
    high = max((one.high for one in models), default=1100.0)
    span = max(high - low, 10.0)
    steps = [size * 10**power for power in range(5) for size in (1, 2, 5)]
    step = next((one for one in steps if span / one <= 7), 50_000)
    return math.floor(low / step) * step, math.ceil(high / step + 1e-9) * step or step, float(step)


def _ticks(low: float, high: float, step: float, across: Callable[[float], float], *, bottom: float) -> Iterator[Shape]:
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        x = across(value)
        yield Outline(points=[Point(x, _HEAD - 4), Point(x, bottom)], tone="faint")
        yield Words(at=Point(x, _HEAD - 9), text=f"{value:g}", size=_SMALL, anchor="middle", tone="quiet")
