"""How lengths and preferences are spread, drawn.

A model has the same number, and so the same colour, in every drawing: its place in the mapping.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from align_cli.evals.alpacaeval.length_control import Row
from align_cli.evals.report.drawing import Drawing, Mark, Outline, Point, Shape, Words, fitted, width_of

_WIDTH = 440.0  # pixels: a phone shows them almost as they are
_LEFT, _RIGHT = 14.0, _WIDTH - 14.0
_AXIS = _LEFT + 38  # where the fields begin
_SIZE, _SMALL, _TITLE = 12.5, 11.0, 14.0
_TOP = 38.0
_LINE = 20.0  # of text
_LOWEST, _BARS, _GAP = 44.0, 150.0, 14.0  # heights: of a model's bars, of all models' together, below one's
_LENGTHS, _PREFERENCES = 30, 20  # bins
_MOST_PARTS, _FEWEST_IN_PART = 8, 40
_PLOT = 190.0  # height of the field of win rates


@dataclass(frozen=True, kw_only=True, slots=True)
class _Spread:
    """One model's histogram."""

    series: int
    name: str
    said: str
    """Its numbers in words."""
    shares: Sequence[float]
    """By bin, of all that was counted."""
    middle: float = 0.0
    """The share that lies exactly between the two middle bins, and in neither."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """Some of a model's instructions, with answers of about the same relative length."""

    times: float
    """How many times as long as the reference's the answers are: the median."""
    low: float
    high: float
    rate: float
    """The mean preference."""
    num: int


def of(rows: Mapping[str, Sequence[Row]], reference: str) -> list[Drawing]:
    """Lengths, preferences, and win rates by relative length, of all models together; none without data."""
    drawings = (lengths(rows, reference), preferences(rows), win_rates_by_length(rows))
    return [one for one in drawings if one is not None]


def lengths(rows: Mapping[str, Sequence[Row]], reference: str) -> Drawing | None:
    """A histogram of answers' lengths for each model, on a log axis, with the reference's as a line in each."""
    # An instruction with several verdicts has one answer.
    ours = {name: list({row.instruction: row.length for row in some}.values()) for name, some in rows.items()}
    theirs = list({row.instruction: row.reference_length for some in rows.values() for row in some}.values())
    if not theirs:
        return None
    every = [max(length, 1) for some in (*ours.values(), theirs) for length in some]
    middle = math.sqrt(min(every) * max(every))
    low, high = min(*every, middle / 2), max(*every, middle * 2)
    span = math.log(high / low)

    def shares(some: Sequence[int]) -> list[float]:
        return _shares([math.log(max(one, 1) / low) / span for one in some], _LENGTHS)

    spreads = [
        _Spread(series=number, name=name, said=f"median {_middle(some):,.0f}", shares=shares(some))
        for number, (name, some) in enumerate(ours.items())
        if some
    ]
    ticks = {math.log(tick / low) / span: f"{tick:,}" for tick in _round_lengths(low, high)}
    known = f"reference: {reference or 'unknown'}, median {_middle(theirs):,.0f}"
    told = [f"{name}: {_quartiles(some)}" for name, some in ours.items() if some]
    return _ridges(
        "Answer lengths, in characters",
        f"on a log axis. {'; '.join([*told, f'{reference}, the reference: {_quartiles(theirs)}'])}",
        spreads,
        ticks,
        behind=shares(theirs),
        legend=known,
    )


def preferences(rows: Mapping[str, Sequence[Row]]) -> Drawing | None:
    """A histogram of how probable it is that the judge prefers each model's answers; draws are a bar of their own."""
    spreads = []
    told = []
    for number, (name, some) in enumerate(rows.items()):
        known = [row.preference for row in some if row.preference is not None]
        if not known:
            continue
        draws = sum(one == 0.5 for one in known) / len(known)
        won = sum(one > 0.5 for one in known) / len(known)
        said = f"won {won:.1%}, drawn {draws:.1%}"
        counted = _shares([one for one in known if one != 0.5], _PREFERENCES)
        spreads.append(
            _Spread(
                series=number,
                name=name,
                said=said,
                shares=[share * (1 - draws) for share in counted],
                middle=draws,
            )
        )
        sure = sum(abs(one - 0.5) >= 0.45 for one in known) / len(known)
        told.append(f"{name}: {said}, lost {1 - won - draws:.1%}; {sure:.0%} below 5 % or above 95 %")
    if not spreads:
        return None
    return _ridges(
        "The judge's preference for the model",
        f"in twenty bins from 0 to 100 %. {'; '.join(told)}",
        spreads,
        {share / 100: f"{share} %" for share in (0, 25, 50, 75, 100)},
    )


def win_rates_by_length(rows: Mapping[str, Sequence[Row]]) -> Drawing | None:
    """The mean preference by how many times as long as the reference's the answer is, on a log axis."""
    parts = {name: found for name, some in rows.items() if (found := _parts(some))}
    if not parts:
        return None
    times = [part.times for found in parts.values() for part in found]
    low, high = min(*times, 0.5) / 1.1, max(*times, 2.0) * 1.1
    span = math.log(high / low)
    top, bottom = _TOP + 8, _TOP + 8 + _PLOT

    def place(part: _Part) -> Point:
        return Point(_across(math.log(part.times / low) / span), bottom - part.rate * _PLOT)

    shapes: list[Shape] = [_heading("Win rate by length beside the reference's")]
    for share in (0, 25, 50, 75, 100):
        y = bottom - share / 100 * _PLOT
        shapes.append(Outline(points=[Point(_AXIS, y), Point(_RIGHT, y)], tone="quiet" if share == 50 else "faint"))
        shapes.append(Words(at=Point(_AXIS - 6, y + 4), text=f"{share} %", size=_SMALL, anchor="end", tone="quiet"))
    for x, name in _apart((_across(math.log(tick / low) / span), f"× {tick:g}") for tick in _round_times(low, high)):
        is_one = name == "× 1"
        shapes.append(Outline(points=[Point(x, top), Point(x, bottom)], tone="quiet" if is_one else "faint"))
        shapes.append(Words(at=Point(x, bottom + 17), text=name, size=_SMALL, anchor="middle", tone="quiet"))
    y = bottom + 40
    told = []
    numbers = {name: number for number, name in enumerate(rows)}
    for name, found in parts.items():
        series = numbers[name]
        shapes.append(Outline(points=[place(part) for part in found], series=series, width=2))
        shapes += [Mark(at=place(part), series=series, title=f"{name}: {_said(part)}") for part in found]
        told.append(f"{name}: {', '.join(_said(part) for part in found)}")
    for name, found in parts.items():
        shapes += _legend(numbers[name], name, _counts(found), y)
        y += _LINE
    about = "× 2: the answer is twice as long as the reference's"
    shapes.append(Words(at=Point(_LEFT, y + 2), text=about, size=_SMALL, tone="quiet"))
    title = f"Win rate by how many times as long as the reference's an answer is. {'; '.join(told)}"
    return Drawing(width=_WIDTH, height=y + 14, title=title, shapes=shapes)


def _parts(rows: Sequence[Row]) -> list[_Part]:
    """Verdicts in parts of the same size by relative length, the shortest first; fewer where there are few."""
    known = sorted(
        (max(row.length, 1) / max(row.reference_length, 1), row.preference)
        for row in rows
        if row.preference is not None
    )
    num = min(max(len(known) // _FEWEST_IN_PART, 1), _MOST_PARTS)
    ends = [len(known) * number // num for number in range(num + 1)]
    found = []
    for first, last in pairwise(ends):
        some = known[first:last]
        if some:
            times = [one for one, _ in some]
            rate = math.fsum(preference for _, preference in some) / len(some)
            found.append(_Part(times=_middle(times), low=times[0], high=times[-1], rate=rate, num=len(some)))
    return found


def _ridges(
    heading: str,
    told: str,
    spreads: Sequence[_Spread],
    ticks: Mapping[float, str],
    *,
    behind: Sequence[float] | None = None,
    legend: str = "",
) -> Drawing:
    """Histograms below each other, on one axis; each is as high as its tallest bar, whose share stands beside it."""
    y, bars = _TOP, max(_BARS / len(spreads), _LOWEST)
    shapes: list[Shape] = [_heading(heading)]
    for one in spreads:
        tallest = max(*one.shares, one.middle, *(behind or ()))
        shapes += _legend(one.series, one.name, one.said, y + 14)
        base = y + _LINE + bars
        shapes += [
            Outline(points=[Point(_across(at), base), Point(_across(at), base - bars)], tone="faint") for at in ticks
        ]
        for height, down, share in ((base - bars, 8, tallest), (base, 1, 0.0)):
            shapes.append(Outline(points=[Point(_AXIS, height), Point(_RIGHT, height)], tone="faint"))
            beside = Point(_AXIS - 6, height + down)
            shapes.append(Words(at=beside, text=f"{share:.0%}", size=_SMALL, anchor="end", tone="quiet"))
        if behind is not None:
            shapes.append(Outline(points=_steps(behind, tallest, base, bars), tone="quiet", width=1.2))
        points = _steps(one.shares, tallest, base, bars)
        shapes.append(Outline(points=points, is_closed=True, series=one.series, is_filled=True, width=1.8))
        if one.middle:
            shapes.append(
                Outline(
                    points=[Point(_across(0.5), base), Point(_across(0.5), base - bars * one.middle / tallest)],
                    series=one.series,
                    width=5,
                )
            )
        y = base + _GAP
    for x, name in _apart((_across(at), name) for at, name in ticks.items()):
        half = width_of(name, _SMALL) / 2
        at = min(x, _RIGHT - half)
        shapes.append(Words(at=Point(at, y + 2), text=name, size=_SMALL, anchor="middle", tone="quiet"))
    y += 22
    if legend:
        shapes.append(Outline(points=[Point(_LEFT, y), Point(_LEFT + 22, y)], tone="quiet", width=1.2))
        text = fitted(legend, _SIZE, _RIGHT - _LEFT - 30)
        shapes.append(Words(at=Point(_LEFT + 30, y + 4), text=text, size=_SIZE))
        y += _LINE
    return Drawing(width=_WIDTH, height=y, title=f"{heading}, {told}", shapes=shapes)


def _heading(text: str) -> Shape:
    return Words(at=Point(_WIDTH / 2, 20), text=text, size=_TITLE, anchor="middle", is_bold=True)


def _legend(series: int, name: str, said: str, y: float) -> Iterator[Shape]:
    """A model's line and name, and at the right what is said about it."""
    yield Outline(points=[Point(_LEFT, y - 4), Point(_LEFT + 22, y - 4)], series=series, width=2)
    yield Mark(at=Point(_LEFT + 11, y - 4), series=series, title=name)
    room = _RIGHT - _LEFT - 30 - width_of(said, _SIZE) - 12
    yield Words(at=Point(_LEFT + 30, y), text=fitted(name, _SIZE, room), size=_SIZE, series=series)
    yield Words(at=Point(_RIGHT, y), text=said, size=_SIZE, anchor="end", tone="quiet", series=series)


def _steps(shares: Sequence[float], tallest: float, base: float, bars: float) -> list[Point]:
    """The outline of bars that touch each other."""
    points = [Point(_AXIS, base)]
    for number, share in enumerate(shares):
        y = base - bars * share / tallest
        points += [Point(_across(number / len(shares)), y), Point(_across((number + 1) / len(shares)), y)]
    return [*points, Point(_RIGHT, base)]


def _across(share: float) -> float:
    return _AXIS + share * (_RIGHT - _AXIS)


def _shares(places: Sequence[float], bins: int) -> list[float]:
    """How many of the values from 0 to 1 lie in each bin, the last of which has its end."""
    counts = [0] * bins
    for place in places:
        counts[min(max(int(place * bins), 0), bins - 1)] += 1
    return [count / len(places) if places else 0.0 for count in counts]


def _apart(marks: Iterator[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    """Those that have room beside the one before."""
    free = -math.inf
    for x, name in marks:
        half = width_of(name, _SMALL) / 2
        if x - half >= free:
            free = x + half + 8
            yield x, name


def _round_lengths(low: float, high: float) -> list[int]:
    """1, 2, 5, 10 … between the two."""
    found = [step * 10**power for power in range(math.ceil(math.log10(high)) + 1) for step in (1, 2, 5)]
    return [one for one in found if low <= one <= high]


def _round_times(low: float, high: float) -> list[float]:
    """Halves and doubles between the two."""
    return [times for power in range(-20, 21) if low <= (times := 2.0**power) <= high]


def _middle(values: Sequence[float]) -> float:
    """The median; 0 of nothing."""
    return _quantile(sorted(values), 0.5)


def _quantile(values: Sequence[float], share: float) -> float:
    """Of sorted values, between the two nearest."""
    if not values:
        return 0.0
    place = share * (len(values) - 1)
    below = math.floor(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def _quartiles(values: Sequence[int]) -> str:
    low, middle, high = (_quantile(sorted(values), share) for share in (0.25, 0.5, 0.75))
    return f"median {middle:,.0f}, the middle half from {low:,.0f} to {high:,.0f}"


def _counts(parts: Sequence[_Part]) -> str:
    few, many = min(part.num for part in parts), max(part.num for part in parts)
    return f"{len(parts)} {'mark' if len(parts) == 1 else 'marks'} of {few:,}" + (f" or {many:,}" if many > few else "")


def _said(part: _Part) -> str:
    return f"{part.rate:.0%} of {part.num} answers {part.low:.2g} to {part.high:.2g} times as long"
