"""A radar chart: several models' values over the categories of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from align_cli.evals.report.drawing import (
    Drawing,
    Mark,
    Outline,
    Point,
    Shape,
    Words,
    fitted,
    round_about,
    width_of,
)
from align_cli.evals.report.report import Report
from align_cli.evals.report.statistics import Estimate

FEWEST, MOST = 3, 24  # categories: fewer make no area, more cannot be read
_RADIUS = 168.0  # pixels
_NAMES = 118.0  # pixels left and right of the web, for the categories' names
_SIZE, _SMALL = 12.5, 10.5
_LINE = 21.0  # height of a line of the legend
_FILLED = 2  # series: the areas of more cover each other
_WIDTH = 2 * (_RADIUS + _NAMES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line on a radar chart."""

    name: str
    values: Sequence[Estimate]
    """By spoke; a category without a value leaves a gap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Radar:
    """A radar chart's contents; `drawn` works out where they go."""

    title: str
    spokes: Sequence[str]
    series: Sequence[Series]
    scale: tuple[float, float]
    """Of the centre and of the rim."""
    rings: Mapping[float, str]
    """Values at which a ring is drawn, and what it is called."""


def radar_of(report: Report) -> Radar | None:
    """Scores by category; where answers were only judged in pairs, adjusted win rates. None for too few categories."""
    if not FEWEST <= len(report.categories) <= MOST:
        return None
    if report.has_scores:
        series = [
            Series(name=one.name, values=[one.scores.by_category[name] for name in report.categories])
            for one in report.models
            if one.scores.overall.n
        ]
        low, high = report.scale
        return Radar(
            title=f"{report.benchmark}: score by category",
            spokes=report.categories,
            series=series,
            # As the original's chart, which begins at 0 though no score does.
            scale=(0.0 if 0 < low <= high / 5 else low, high),
            rings=_rings(0.0 if 0 < low <= high / 5 else low, high),
        )
    pooled = [pair for pair in report.pairs if not pair.opponent] or report.pairs
    if not any(pair.rates.adjusted.n for pair in pooled):
        return None
    return Radar(
        title=f"{report.benchmark}: win rate by category, a tie counting half",
        spokes=report.categories,
        series=[
            Series(
                name=pair.model + (f" against {pair.opponent}" if pair.opponent else ""),
                values=[pair.by_category[name].adjusted for name in report.categories],
            )
            for pair in pooled
        ],
        scale=(0.0, 1.0),
        rings={share / 100: f"{share} %" for share in (25, 50, 75, 100)},
    )


def drawn(radar: Radar) -> Drawing:
    """Spokes clockwise from the top; the legend below."""
    centre = Point(_WIDTH / 2, 34 + _RADIUS + 26)
    legend = list(_legend(radar, top=centre.y + _RADIUS + 46))
    bottom = max((shape.at.y for shape in legend if isinstance(shape, Words)), default=centre.y + _RADIUS) + 16
    shapes: list[Shape] = [Words(at=Point(_WIDTH / 2, 20), text=radar.title, size=14, anchor="middle", is_bold=True)]
    shapes += _web(radar, centre)
    for number, series in reversed(list(enumerate(radar.series))):  # the best is painted last, on top
        shapes += _line(radar, number, series, centre)
    shapes += [*_heights(radar, centre), *_names(radar, centre)]
    return Drawing(width=_WIDTH, height=bottom, title=radar.title, shapes=[*shapes, *legend])


def _rings(low: float, high: float) -> dict[float, str]:
    """Four or five, at round numbers where there are some."""
    span = high - low
    step = next(
        (step for step in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5, 10, 20, 25, 50) if 3.5 <= span / step <= 5.5), None
    )
    step = step or span / 4
    count = math.floor(span / step + 1e-9)
    return {high - step * back: f"{high - step * back:g}" for back in reversed(range(count))}


def _place(radar: Radar, centre: Point, spoke: int, value: float) -> Point:
    low, high = radar.scale
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    return round_about(centre, _RADIUS * share, spoke / len(radar.spokes) - 0.25)


def _web(radar: Radar, centre: Point) -> Iterator[Shape]:
    every = range(len(radar.spokes))
    for value in radar.rings:
        yield Outline(points=[_place(radar, centre, spoke, value) for spoke in every], is_closed=True, tone="faint")
    for spoke in every:
        yield Outline(points=[centre, _place(radar, centre, spoke, radar.scale[1])], tone="faint")


def _heights(radar: Radar, centre: Point) -> Iterator[Shape]:
    for value, name in radar.rings.items():
        at = _place(radar, centre, 0, value)
        yield Words(at=Point(at.x + 4, at.y - 3), text=name, size=_SMALL, tone="quiet")


def _line(radar: Radar, number: int, series: Series, centre: Point) -> Iterator[Shape]:
    points = [
        None if one.value is None else _place(radar, centre, spoke, one.value)
        for spoke, one in enumerate(series.values)
    ]
    if None not in points:
        whole = [point for point in points if point is not None]
        yield Outline(points=whole, is_closed=True, series=number, is_filled=len(radar.series) <= _FILLED, width=2)
    else:
        for first, second in zip(points, [*points[1:], points[0]], strict=True):
            if first is not None and second is not None:
                yield Outline(points=[first, second], series=number, width=2)
    for spoke, point, one in zip(radar.spokes, points, series.values, strict=True):
        if point is not None and one.value is not None:
            yield Mark(at=point, series=number, title=f"{series.name}, {spoke}: {_said(one, radar)}")


def _said(value: Estimate, radar: Radar) -> str:
    if value.value is None:
        return ""
    is_share = radar.scale == (0.0, 1.0)
    wide = value.half_width
    if is_share:
        return f"{value.value:.0%}" + (f" ± {wide:.0%}" if wide is not None else "")
    return f"{value.value:.2f}" + (f" ± {wide:.2f}" if wide is not None else "")


def _names(radar: Radar, centre: Point) -> Iterator[Shape]:
    for spoke, name in enumerate(radar.spokes):
        at = round_about(centre, _RADIUS + 14, spoke / len(radar.spokes) - 0.25)
        aside = at.x - centre.x
        is_mid = abs(aside) < 1
        down = 4.5 + 4.5 * (at.y - centre.y) / _RADIUS
        yield Words(
            at=Point(at.x, at.y + down),
            text=fitted(name or "(none)", _SIZE, 2 * _NAMES if is_mid else _WIDTH / 2 - abs(aside) - 4),
            size=_SIZE,
            anchor="middle" if is_mid else "start" if aside > 0 else "end",
        )


def _legend(radar: Radar, *, top: float) -> Iterator[Shape]:
    """As many names in a line as have room."""
    x, y = 0.0, top
    lines: list[list[tuple[float, int, str]]] = [[]]
    for number, series in enumerate(radar.series):
        name = fitted(series.name, _SIZE, _WIDTH - 60)
        wide = 34 + width_of(name, _SIZE)
        if x and x + wide > _WIDTH - 24:
            lines.append([])
            x = 0.0
        lines[-1].append((x, number, name))
        x += wide + 18
    for line in lines:
        right = line[-1][0] + 34 + width_of(line[-1][2], _SIZE) if line else 0.0
        start = (_WIDTH - right) / 2
        for offset, number, name in line:
            left = start + offset
            yield Outline(points=[Point(left, y - 4), Point(left + 26, y - 4)], series=number, width=2)
            yield Mark(at=Point(left + 13, y - 4), series=number, title=name)
            yield Words(at=Point(left + 32, y), text=name, size=_SIZE, series=number)
        y += _LINE
