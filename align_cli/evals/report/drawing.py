"""A drawing as a few typed shapes, and as an SVG file.

The shapes are worked out once; `svg` writes them here, `pictures` paints the same ones into a PNG.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Literal, NamedTuple

#: Okabe & Ito 2008: told apart by people who see colours differently, and in print. Without their black, which is the
#: ink's, and their yellow, which paper swallows.
SERIES_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
_DASHES = ("", "6 3", "2 3", "9 3 2 3")
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
INK, PAPER = "#1c1d21", "#ffffff"
#: What no XML file may hold, and marks that would turn the direction of what follows.
_NOT_SHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]"
)

Tone = Literal["ink", "quiet", "faint"]
#: How much of the ink a tone takes.
OPACITY: dict[Tone, float] = {"ink": 1.0, "quiet": 0.66, "faint": 0.2}


class Point(NamedTuple):
    """Pixels from the left and from the top."""

    x: float
    y: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """Straight lines from point to point."""

    points: Sequence[Point]
    is_closed: bool = False
    tone: Tone = "ink"
    series: int | None = None
    """Drawn in a series' colour and dashes instead of a tone."""
    is_filled: bool = False
    """In a closed one, with a little of its colour."""
    width: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A value on a series' line; its form tells series apart where colour does not."""

    at: Point
    series: int
    title: str
    """What the mark says when it is pointed at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """One line of text; `at` is on its baseline."""

    at: Point
    text: str
    size: float = 12.0
    anchor: Literal["start", "middle", "end"] = "start"
    tone: Tone = "ink"
    is_bold: bool = False
    series: int | None = None
    """The series that it names."""


Shape = Outline | Mark | Words


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """Shapes in the order in which they are painted."""

    width: float
    height: float
    title: str
    """What is on it, for those who cannot see it."""
    shapes: Sequence[Shape]


def colour_of(series: int) -> str:
    """A series' colour; after seven they repeat, with other dashes and marks."""
    return SERIES_COLOURS[series % len(SERIES_COLOURS)]


def dashes_of(series: int) -> str:
    """A series' dashes, as SVG writes them; empty for a whole line."""
    return _DASHES[series // len(SERIES_COLOURS) % len(_DASHES)]


def form_of(mark: Mark, radius: float = 3.6) -> list[Point]:
    """A mark's corners: circle (as a polygon), square, triangle or diamond by series."""
    corners, turn = ((16, 0.0), (4, 0.125), (3, 0.75), (4, 0.0))[mark.series % 4]
    wide = radius * (1.3 if corners < 16 else 1.0)
    return [round_about(mark.at, wide, turn + corner / corners) for corner in range(corners)]


def round_about(centre: Point, radius: float, turn: float) -> Point:
    """The point a share of a turn round the centre, from three o'clock, clockwise."""
    angle = 2 * math.pi * turn
    return Point(centre.x + radius * math.cos(angle), centre.y + radius * math.sin(angle))


def svg(drawing: Drawing, *, is_alone: bool = True) -> str:
    """The drawing as SVG text; the same bytes for the same drawing.

    `is_alone`: a file with its own paper. Otherwise it is for a page, takes the page's ink, and each series is a group
    of class `series` with its number in `data-series`.
    """
    size = f'viewBox="0 0 {_number(drawing.width)} {_number(drawing.height)}"'
    title = plain(drawing.title)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}"'
    made = [f'{head} font-family="{escape(FONT)}"']
    if is_alone:
        made[0] += f' width="{_number(drawing.width)}" height="{_number(drawing.height)}" color="{INK}">'
        made += [f"<title>{escape(title)}</title>", f'<rect width="100%" height="100%" fill="{PAPER}"/>']
    else:
        made[0] += ' class="drawing">'
    made += [_shape(shape) for shape in drawing.shapes]
    return "\n".join([*made, "</svg>\n"])


def plain(text: str) -> str:
    """`text` on one line, without what acts instead of showing."""
    return " ".join(_NOT_SHOWN.sub("\N{REPLACEMENT CHARACTER}", text).split())


def width_of(text: str, size: float, *, is_bold: bool = False) -> float:
    """About how many pixels a line takes in a plain sans-serif; rather too many than too few."""
    total = 0.0
    for sign in text:
        if unicodedata.east_asian_width(sign) in "WF":
            total += 1.0
        elif sign in "iljtfr.,:;|!'()[] ":
            total += 0.36
        else:
            total += 0.84 if sign in "mwMW%@" else 0.62
    return total * size * (1.07 if is_bold else 1.0)


def fitted(text: str, size: float, width: float) -> str:
    """`text`, or its two ends where it is wider than `width` pixels: names of runs differ at either end."""
    text = plain(text)
    if width_of(text, size) <= width:
        return text
    kept = len(text)
    while kept > 2 and width_of(_ends(text, kept), size) > width:
        kept -= 1
    return _ends(text, kept)


def beside(drawings: Iterable[Drawing], *, title: str, gap: float = 24) -> Drawing:
    """Drawings below each other, each in the middle."""
    placed = list(drawings)
    width = max((one.width for one in placed), default=1.0)
    shapes: list[Shape] = []
    top = 0.0
    for one in placed:
        shapes += [_moved(shape, (width - one.width) / 2, top) for shape in one.shapes]
        top += one.height + gap
    return Drawing(width=width, height=max(top - gap, 1.0), title=title, shapes=shapes)


def _ends(text: str, kept: int) -> str:
    return f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"


def _moved(shape: Shape, right: float, down: float) -> Shape:
    if isinstance(shape, Outline):
        return replace(shape, points=[Point(x + right, y + down) for x, y in shape.points])
    return replace(shape, at=Point(shape.at.x + right, shape.at.y + down))


def _shape(shape: Shape) -> str:
    if isinstance(shape, Outline):
        return _grouped(_outline(shape), shape.series)
    if isinstance(shape, Mark):
        title = f"<title>{escape(plain(shape.title))}</title>"
        mark = f'<polygon points="{_points(form_of(shape))}" fill="{colour_of(shape.series)}">{title}</polygon>'
        return _grouped(mark, shape.series)
    weight = ' font-weight="600"' if shape.is_bold else ""
    anchor = f' text-anchor="{shape.anchor}"' if shape.anchor != "start" else ""
    words = (
        f'<text x="{_number(shape.at.x)}" y="{_number(shape.at.y)}" font-size="{_number(shape.size)}"{anchor}{weight} '
        f"{_paint('fill', shape.tone)}>{escape(plain(shape.text))}</text>"
    )
    return _grouped(words, shape.series)


def _outline(shape: Outline) -> str:
    name = "polygon" if shape.is_closed else "polyline"
    if shape.series is None:
        stroke, fill = _paint("stroke", shape.tone), "none"
    else:
        colour, dashes = colour_of(shape.series), dashes_of(shape.series)
        stroke = f'stroke="{colour}"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
        fill = f'{colour}" fill-opacity="0.07' if shape.is_filled else "none"
    return (
        f'<{name} points="{_points(shape.points)}" fill="{fill}" {stroke} stroke-width="{_number(shape.width)}" '
        'stroke-linejoin="round"/>'
    )


def _grouped(inner: str, series: int | None) -> str:
    return inner if series is None else f'<g class="series" data-series="{series}">{inner}</g>'


def _paint(what: str, tone: Tone) -> str:
    opacity = OPACITY[tone]
    return f'{what}="currentColor"' + (f' {what}-opacity="{opacity:g}"' if opacity < 1 else "")


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    """Two digits after the point, without zeros that say nothing; never -0."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")
