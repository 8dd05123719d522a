"""A histogram of lengths that survives a pipe, a narrow terminal and one that only knows ASCII."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from align_cli.cli.render.page import is_bounded
from align_cli.cli.signs import shows_unicode
from align_cli.cli.text import columns

_PIPE_BAR = 40  # columns of the longest bar in a pipe
_WIDEST_BAR = 60
_MOST = 20  # lines; finer histograms are joined pairwise
_EIGHTHS = " ▏▎▍▌▋▊▉"


def bars(histogram: Mapping[str, Sequence[int]], limit: int | None, stream: TextIO) -> RenderableType:
    """One line for each bin: its range, a bar, the count, the share. Bins beyond `limit` say that their rows are cut.

    `histogram`: "edges" (one more than bins) and "counts".
    """
    edges, counts = list(histogram["edges"]), list(histogram["counts"])
    while len(counts) > _MOST:
        counts = [sum(counts[start : start + 2]) for start in range(0, len(counts), 2)]
        edges = [*edges[:-1:2], edges[-1]]
    first = next((index for index, value in enumerate(counts) if value), 0)
    last = max((index for index, value in enumerate(counts) if value), default=0)
    total, most = sum(counts) or 1, max(counts, default=0) or 1
    names = [f"{edges[index]:,}-{max(edges[index + 1] - 1, edges[index]):,}" for index in range(first, last + 1)]
    name_width = max((len(name) for name in names), default=0)
    count_width = max((len(f"{value:,}") for value in counts), default=0)
    room = columns(stream) - name_width - count_width - 24 if is_bounded(stream) else _PIPE_BAR
    room = max(8, min(room, _WIDEST_BAR))
    smooth = shows_unicode(stream)
    text = Text()
    for name, index in zip(names, range(first, last + 1), strict=True):
        value = counts[index]
        beyond = limit is not None and edges[index] > limit
        style = "yellow" if beyond else "green"
        if index > first:
            text.append("\n")
        text.append(f"{name:>{name_width}} ", style="dim")
        bar = _bar(value / most, room, smooth=smooth)
        text.append(bar, style=style).append(" " * (room - len(bar)))
        partly = limit is not None and edges[index] <= limit < edges[index + 1] - 1
        fate = " cut" if beyond else " some cut" if partly else ""
        text.append(f" {value:>{count_width},} {value / total:6.1%}{fate}")
    return Padding(text, (0, 0, 0, 2))


def _bar(share: float, room: int, *, smooth: bool) -> str:
    """A bar of `share` of the room; whatever is not nothing is seen."""
    if share <= 0:
        return ""
    if not smooth:
        return "#" * max(round(share * room), 1)
    eighths = max(round(share * room * 8), 1)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
