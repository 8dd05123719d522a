"""Curves of metrics in a terminal: lines of dots in colour, of signs in a pipe, in ASCII where nothing else shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple, TextIO

from rich.console import RenderableType
from rich.text import Text

from align_cli.cli.render import axes
from align_cli.cli.render.page import count, emit, heading, is_bounded
from align_cli.cli.signs import one_line, shows_unicode
from align_cli.cli.text import columns, has_colour
from align_cli.runs.reading.curves import EVAL, Curve, Picture

_PIPE_WIDTH = 78  # columns where no terminal says otherwise
_WIDEST = 100
_NARROWEST = 24  # columns of the field itself
_HEIGHT = 12  # lines of the field
_COLOURS = ("cyan", "yellow", "green", "magenta", "red", "blue")
_LINES = "*+x#%=&$"
_POINTS = "oO@0QGC8"
_BRAILLE = 0x2800


class _Look(NamedTuple):
    """How one curve is drawn."""

    sign: str
    """One character; empty: dots."""
    style: str


def curves(pictures: Sequence[Picture], stream: TextIO, *, is_logarithmic: bool, smoothing: float) -> None:
    """Every picture with its legend, one below the other."""
    blocks: list[RenderableType] = []
    for picture in pictures:
        aside = "logarithmic" if is_logarithmic else ""
        if smoothing:
            aside = f"{aside}, smoothed by {smoothing:g}".removeprefix(", ")
        blocks += [heading(one_line(picture.title), aside), *_draw(picture, stream, is_logarithmic=is_logarithmic)]
    emit(stream, *blocks)


def drawn(view: dict[str, Any], stream: TextIO) -> None:
    """What there is to say about the pictures: where they are, and what is not in them."""
    before = ", in place of the picture that was there" if view["replaced"] else ""
    said = [Text(f"drawn: {view['file']}{before}")] if view["file"] else []
    for picture in view["pictures"]:
        for curve in picture["curves"]:
            if curve["missing"]:
                why = "not finite or not above zero" if view["logarithmic"] else "not finite"
                name = f"{one_line(curve['run'])}: {one_line(curve['metric'])}"
                said.append(Text(f"{name}: {count(curve['missing'], 'point')} left out, {why}", "yellow"))
    said += [Text(one_line(problem), "yellow") for problem in view["problems"]]
    if said:
        emit(stream, *said)


def _draw(picture: Picture, stream: TextIO, *, is_logarithmic: bool) -> list[RenderableType]:
    points = [(step, value) for curve in picture.curves for step, value in zip(curve.steps, curve.values, strict=True)]
    if not points:
        return [Text("  no point of it can be drawn", style="dim")]
    width = min(columns(stream), _WIDEST) if is_bounded(stream) else _PIPE_WIDTH
    levels = [value for _, value in points]
    upright = axes.logarithmic(levels, 5) if is_logarithmic else axes.linear(levels, 5)
    margin = max(map(len, upright.labels)) + 3
    room = max(width - margin - 1, _NARROWEST)
    level = axes.linear([step for step, _ in points], max(room // 14, 2), whole=True)
    looks = _looks(picture.curves, stream)
    cells = [[(" ", "")] * room for _ in range(_HEIGHT)]
    for curve, look in zip(picture.curves, looks, strict=True):
        _lay(cells, curve, look, level, upright, is_logarithmic=is_logarithmic)
    text = Text("\n").join([*_rows(cells, upright, margin, stream), _scale(level, margin, room, stream)])
    return [text, _legend(picture.curves, looks, width)]


def _looks(curves: Sequence[Curve], stream: TextIO) -> list[_Look]:
    """In colour, dots tell lines apart; without, every line has a sign of its own, unless it is alone."""
    coloured, unicode = has_colour(stream), shows_unicode(stream)
    lines = [curve for curve in curves if not curve.is_evaluation]
    pairs = list(dict.fromkeys((curve.run, curve.metric.removeprefix(EVAL)) for curve in curves))
    looks = []
    for curve in curves:
        place = pairs.index((curve.run, curve.metric.removeprefix(EVAL)))
        style = _COLOURS[place % len(_COLOURS)]
        if curve.is_evaluation:
            sign = _POINTS[0 if coloured else place % len(_POINTS)]
        elif unicode and (coloured or len(lines) == 1):
            sign = ""
        else:
            sign = _LINES[place % len(_LINES)]
        looks.append(_Look(sign, style))
    return looks


def _lay(
    cells: list[list[tuple[str, str]]],
    curve: Curve,
    look: _Look,
    level: axes.Axis,
    upright: axes.Axis,
    *,
    is_logarithmic: bool,
) -> None:
    """Put one curve over what is there."""
    from plotille import Canvas

    height, width = len(cells), len(cells[0])
    # The canvas leaves its upper ends out: a dot more on each side brings the last values in.
    canvas = Canvas(
        width,
        height,
        xmin=level.low,
        xmax=level.high + (level.high - level.low) / (2 * width - 1),
        ymin=upright.low,
        ymax=upright.high + (upright.high - upright.low) / (4 * height - 1),
    )
    drawn = [math.log10(value) if is_logarithmic else value for value in curve.values]
    points = list(zip(curve.steps, drawn, strict=True))
    if curve.is_evaluation or len(points) == 1:
        for x, y in points:
            canvas.point(x, y)
    else:
        thin = _thinned(points, (level.high - level.low) / (2 * width))
        for (x0, y0), (x1, y1) in pairwise(thin):
            canvas.line(x0, y0, x1, y1)
    for row, line in zip(cells, canvas.plot().split("\n"), strict=True):
        for place, dots in enumerate(line):
            if dots == chr(_BRAILLE):
                continue
            sign = look.sign
            if not sign:
                below = ord(row[place][0]) - _BRAILLE if row[place][0] >= chr(_BRAILLE) else 0
                sign = chr(_BRAILLE + (ord(dots) - _BRAILLE | below))
            row[place] = (sign, look.style)


def _thinned(points: list[tuple[int, float]], column: float) -> list[tuple[float, float]]:
    """Of many points in one column of dots only the lowest and the highest: the same picture, drawn at once."""
    groups: dict[int, list[tuple[int, float]]] = {}
    for point in points:
        groups.setdefault(int(point[0] / column), []).append(point)
    if len(groups) * 4 >= len(points):
        return list(points)
    thin: list[tuple[float, float]] = []
    for group in groups.values():
        ends = {group[0], group[-1], min(group, key=lambda point: point[1]), max(group, key=lambda point: point[1])}
        thin += sorted(ends)
    return thin


def _rows(cells: list[list[tuple[str, str]]], upright: axes.Axis, margin: int, stream: TextIO) -> list[Text]:
    """The field with the axis to its left."""
    plain = not shows_unicode(stream)
    span = upright.high - upright.low
    labels: dict[int, str] = {}
    for tick, label in zip(upright.ticks, upright.labels, strict=True):
        labels.setdefault(round((upright.high - tick) / span * (len(cells) - 1)), label)
    rows = []
    for number, row in enumerate(cells):
        label = labels.get(number, "")
        wall = ("+" if label else "|") if plain else ("┤" if label else "│")
        text = Text().append(f"{label:>{margin - 2}} {wall}", style="dim")
        for style, alike in groupby(row, key=lambda cell: cell[1]):
            text.append("".join(sign for sign, _ in alike), style=style)
        rows.append(text)
    return rows


def _scale(level: axes.Axis, margin: int, room: int, stream: TextIO) -> Text:
    """The axis below: a line, and under it the steps."""
    plain = not shows_unicode(stream)
    line = ["-" if plain else "─"] * room
    below = [" "] * (margin + room + 8)
    free = 0
    for tick, label in zip(level.ticks, level.labels, strict=True):
        place = round((tick - level.low) / (level.high - level.low) * (room - 1))
        line[place] = "+" if plain else "┬"
        start = max(margin + place - len(label) // 2, 0)
        start = min(start, margin + room - len(label))
        if start >= free:
            below[start : start + len(label)] = label
            free = start + len(label) + 1
    corner = "+" if plain else "└"
    return Text(f"{corner:>{margin}}{''.join(line)}\n{''.join(below).rstrip()}", style="dim")


def _legend(curves: Sequence[Curve], looks: Sequence[_Look], width: int) -> RenderableType:
    """Sign, name and last value of every curve, in lines that break between two of them."""
    several = len({curve.run for curve in curves}) > 1
    rows: list[Text] = []
    for curve, look in zip(curves, looks, strict=True):
        entry = Text(" ").append(look.sign or "⠤⠤", style=look.style).append(" ")
        entry.append(f"{one_line(curve.run)} " if several else "").append(one_line(curve.metric))
        if curve.values:
            entry.append(f" {curve.values[-1]:.4g}", style="dim")
        if rows and len(rows[-1]) + len(entry) + 2 <= width:
            rows[-1].append("  ").append_text(entry)
        else:
            rows.append(Text(" ").append_text(entry))
    return Text("\n").join(rows)
