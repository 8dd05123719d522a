"""Curves of metrics as a PNG or SVG file."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from align_cli.cli.errors import without_secrets
from align_cli.cli.render.axes import logarithmic
from align_cli.cli.signs import visible
from align_cli.errors import UsageError
from align_cli.files import write_bytes
from align_cli.runs.reading.curves import EVAL, Picture

_COLUMNS = 2  # pictures beside each other
_SIZE = (5.6, 3.6)  # inches of one picture
_DPI = 120
_TICKS = 6
#: Okabe & Ito 2008: told apart by people who see colours differently, and in print.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def picture(pictures: Sequence[Picture], path: Path, *, is_logarithmic: bool, smoothing: float) -> None:
    """Draw `pictures` into `path`, whose name ends in .png or .svg; a reader sees the old file or the new one.

    Raises:
        UsageError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as cause:
        raise UsageError(
            f"drawing into {path.suffix} needs the package matplotlib",
            hint="pip install 'align-cli[plot]'; --curves draws here without it",
        ) from cause

    wide = min(_COLUMNS, len(pictures))
    high = math.ceil(len(pictures) / wide)
    figure = Figure(figsize=(_SIZE[0] * wide, _SIZE[1] * high), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(high, wide, squeeze=False).flatten()
    for place, one in zip(places, pictures, strict=False):
        _draw(place, one, is_logarithmic=is_logarithmic, smoothing=smoothing)
    for place in places[len(pictures) :]:
        place.set_axis_off()
    made = io.BytesIO()
    kind = path.suffix.lower().removeprefix(".")
    # Text stays text in an SVG, and the same curves give the same bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "align"}):
        figure.savefig(made, format=kind, dpi=_DPI, metadata={"Date": None} if kind == "svg" else None)
    try:
        write_bytes(path, made.getvalue())
    except OSError as cause:
        raise UsageError(f"--plot {path}: it cannot be written: {cause.strerror or cause}") from cause


def _draw(place: Any, picture: Picture, *, is_logarithmic: bool, smoothing: float) -> None:
    several = len({curve.run for curve in picture.curves}) > 1
    pairs = list(dict.fromkeys((curve.run, curve.metric.removeprefix(EVAL)) for curve in picture.curves))
    for curve in picture.curves:
        colour = _COLOURS[pairs.index((curve.run, curve.metric.removeprefix(EVAL))) % len(_COLOURS)]
        name = _plain(f"{curve.run} {curve.metric}" if several else curve.metric)
        if curve.is_evaluation:
            place.plot(curve.steps, curve.values, "o:", color=colour, markersize=4, linewidth=1, label=name)
        else:
            marker = "o" if len(curve.steps) == 1 else None
            place.plot(curve.steps, curve.values, color=colour, linewidth=1.4, marker=marker, label=name)
    values = [value for curve in picture.curves for value in curve.values]
    if is_logarithmic and values:
        axis = logarithmic(values, _TICKS)
        place.set_yscale("log")
        place.set_yticks([10**tick for tick in axis.ticks], axis.labels)
        place.minorticks_off()
    aside = f" (smoothed by {smoothing:g})" if smoothing else ""
    place.set_title(_plain(picture.title) + aside, fontsize=10, loc="left")
    place.set_xlabel("step", fontsize=9)
    place.xaxis.get_major_locator().set_params(integer=True)
    place.tick_params(labelsize=8)
    place.grid(alpha=0.25, linewidth=0.6)
    for side in ("top", "right"):
        place.spines[side].set_visible(False)
    if values:
        place.legend(fontsize=8, frameon=False)


def _plain(text: str) -> str:
    r"""Names as they are: a dollar sign would begin a formula, and a legend hides what begins with an underscore."""
    shown = without_secrets(visible(text)).replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{shown}" if shown.startswith("_") else shown
