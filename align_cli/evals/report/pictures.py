"""A report's radar chart and table as a picture file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

from align_cli.errors import UsageError
from align_cli.evals.report import radar, table, tables
from align_cli.evals.report.drawing import (
    INK,
    OPACITY,
    PAPER,
    Drawing,
    Mark,
    Outline,
    Words,
    beside,
    colour_of,
    dashes_of,
    form_of,
    plain,
    svg,
)
from align_cli.evals.report.report import Report
from align_cli.files import write_bytes

SUFFIXES = (".png", ".svg")
What = Literal["radar", "table", "both"]
_DPI = 100  # one pixel of a drawing is one of the figure's hundredths of an inch
_FINER = 2  # pixels of the file for one of the drawing


def picture_of(report: Report, what: What = "both") -> Drawing | None:
    """The chart, the tables, or all of them below each other; None where there is nothing to draw."""
    parts: list[Drawing] = []
    if what in ("radar", "both"):
        web = radar.radar_of(report)
        parts += [] if web is None else [radar.drawn(web)]
    if what in ("table", "both"):
        made = (tables.scores_table(report), tables.differences_table(report), tables.pairs_table(report))
        parts += [table.drawn(one) for one in made if one is not None]
    return beside(parts, title=f"{report.benchmark}: report") if parts else None


def write(report: Report, path: Path, what: What = "both") -> None:
    """Draw into `path`, whose name ends in .png or .svg; a reader sees the old file or the new one.

    An SVG is written without any library, and is the same, byte for byte, for the same report.

    Raises:
        UsageError: the name ends otherwise; there is nothing to draw; a PNG needs matplotlib, which is not installed;
            the file cannot be written.
    """
    demand_kind(path)
    drawing = picture_of(report, what)
    if drawing is None:
        raise UsageError(
            f"{path}: there is nothing to draw: no answer has a verdict that counts, or there are fewer than "
            f"{radar.FEWEST} categories"
        )
    write_drawing(drawing, path)


def demand_kind(path: Path) -> None:
    """Raise for a name that is no picture's.

    Raises:
        UsageError: saying so.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a picture's name ends in .png or .svg")


def write_drawing(drawing: Drawing, path: Path) -> None:
    """Write a drawing into `path`, whose name ends in .png or .svg; a reader sees the old file or the new one.

    Raises:
        UsageError: the name ends otherwise; a PNG needs matplotlib, which is not installed; it cannot be written.
    """
    demand_kind(path)
    made = svg(drawing).encode() if path.suffix.lower() == ".svg" else png(drawing, path)
    try:
        write_bytes(path, made)
    except OSError as cause:
        raise UsageError(f"{path}: it cannot be written: {cause.strerror or cause}") from cause


def png(drawing: Drawing, path: Path) -> bytes:
    """The drawing as a PNG; `path` is for the error's words.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as cause:
        raise UsageError(
            f"{path}: drawing into .png needs the package matplotlib",
            hint="pip install 'align-cli[plot]'; a name that ends in .svg does without it",
        ) from cause

    figure = Figure(figsize=(drawing.width / _DPI, drawing.height / _DPI), dpi=_DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    place = figure.add_axes((0, 0, 1, 1))
    place.set_axis_off()
    place.set_xlim(0, drawing.width)
    place.set_ylim(drawing.height, 0)
    for shape in drawing.shapes:
        _paint(place, shape)
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=_DPI * _FINER, facecolor=PAPER, metadata={"Software": None})
    return made.getvalue()


def _paint(place: Any, shape: Outline | Mark | Words) -> None:
    from matplotlib.patches import Polygon

    if isinstance(shape, Mark):
        place.add_patch(
            Polygon(form_of(shape), closed=True, facecolor=colour_of(shape.series), edgecolor="none", zorder=2)
        )
        return
    if isinstance(shape, Outline):
        colour, opacity = (INK, OPACITY[shape.tone]) if shape.series is None else (colour_of(shape.series), 1.0)
        points = shape.width * 72 / _DPI
        lines: Any = "solid"
        if shape.series is not None and dashes_of(shape.series):
            lines = (0, [float(one) / shape.width for one in dashes_of(shape.series).split()])
        if shape.is_filled:
            place.add_patch(
                Polygon(shape.points, closed=True, facecolor=colour, alpha=0.07, edgecolor="none", zorder=2)
            )
        ends = [*shape.points, shape.points[0]] if shape.is_closed else list(shape.points)
        xs, ys = [point.x for point in ends], [point.y for point in ends]
        place.plot(xs, ys, color=colour, alpha=opacity, linewidth=points, linestyle=lines, zorder=2)
        return
    place.text(
        shape.at.x,
        shape.at.y,
        plain(shape.text).replace("$", r"\$"),  # a dollar sign would begin a formula
        fontsize=shape.size * 72 / _DPI,
        color=INK,
        alpha=OPACITY[shape.tone],
        ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
        va="baseline",
        fontweight="bold" if shape.is_bold else "normal",
        zorder=2,
    )
