"""Headed tables and lines for a terminal of any width, or whole lines for a pipe."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from align_cli.cli.errors import without_secrets
from align_cli.cli.text import columns, has_colour, is_terminal

_UNBOUNDED = 4000  # columns in a pipe: nothing is cut or folded, so that it can be searched
_NARROWEST = 40  # columns


def emit(stream: TextIO, *blocks: RenderableType) -> None:
    """Write the blocks, in colour if the stream can, without trailing spaces and without secrets."""
    bounded = is_bounded(stream)
    colour = has_colour(stream)
    console = Console(
        file=io.StringIO(),
        width=max(columns(stream), _NARROWEST) if bounded else _UNBOUNDED,
        color_system="standard" if colour else None,
        force_terminal=colour,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        for block in blocks:
            console.print(block)
    lines = without_secrets(captured.get()).splitlines()
    stream.write("\n".join(line.rstrip() for line in lines) + "\n")
    stream.flush()


def is_narrow(stream: TextIO, width: int) -> bool:
    """The stream's lines end before `width` columns."""
    return is_bounded(stream) and columns(stream) < width


def is_bounded(stream: TextIO) -> bool:
    """The stream's lines end somewhere; a pipe's do not."""
    return is_terminal(stream) or os.environ.get("COLUMNS", "").isdigit()


def heading(title: str, aside: str = "") -> RenderableType:
    """A section's heading with a few quiet words beside it; a blank line above."""
    text = Text("\n").append(title, style="bold")
    return text.append(f"  {aside}", style="dim") if aside else text


def lines(items: Iterable[str | Text]) -> RenderableType:
    """Sentences, one each, indented; continuation lines are indented further."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    for item in items:
        table.add_row("·", item if isinstance(item, Text) else Text(item))
    return Padding(table, (0, 0, 0, 2))


def pairs(rows: Iterable[tuple[str, str | Text]]) -> RenderableType:
    """Words and what they mean, in two columns."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), value if isinstance(value, Text) else Text(value))
    return Padding(table, (0, 0, 0, 2))


def grid(
    header: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[int] = (), whole: Sequence[int] = ()
) -> RenderableType:
    """A table without lines; columns numbered in `right` hold numbers, those in `whole` are not folded.

    Nothing is ever cut, only folded.
    """
    table = Table(box=None, pad_edge=False, show_header=any(header), header_style="dim", padding=(0, 2, 0, 0))
    for index, name in enumerate(header):
        justify: Literal["left", "right"] = "right" if index in right else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=index in right or index in whole)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    return Padding(table, (0, 0, 0, 2))


def number(value: int | float | None) -> str:
    """1234567 -> 1,234,567; nothing for None."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def count(value: int, noun: str) -> str:
    """1 -> "1 row", 2 -> "2 rows"."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def duration(seconds: float, *, fine: bool = False) -> str:
    """75 -> "1 min 15 s"; `fine` says tenths of a second below ten."""
    if fine and seconds < 10:
        return f"{seconds:.1f} s"
    whole = max(round(seconds), 0)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
