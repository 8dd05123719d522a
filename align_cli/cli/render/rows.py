"""Rows as the model sees them, with the loss mask visible; and rows that were left out.

Rows are written to the stream as they are, not through a table: they may be megabytes long, and somebody may want to
copy them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import RenderableType
from rich.text import Text

from align_cli.cli.errors import without_secrets
from align_cli.cli.render.page import count, emit, grid, heading, is_bounded
from align_cli.cli.signs import one_line, shows_unicode, visible
from align_cli.cli.text import columns, has_colour, style

SAMPLE_LENGTH = 1600  # characters of a sample that are shown; its middle is left out
_PREVIEW = 160  # characters of a left-out row in a pipe


def shown_rows(rows: Sequence[Mapping[str, Any]], stream: TextIO, *, whole: bool) -> None:
    """Rows with what is in the loss in colour, or in brackets where there is none; see `cli.mix_rows` for their keys.

    `whole`: print all of a row; otherwise a long one loses its middle, never its ends.
    """
    for row in rows:
        emit(stream, heading(_title(row), _aside(row)))
        segments = shortened(row["segments"], None if whole else SAMPLE_LENGTH)
        stream.write(without_secrets(masked(segments, stream)).rstrip("\n") + "\n")
        if row.get("note"):
            emit(stream, Text(one_line(row["note"]), style="yellow"))
        if row.get("cut"):
            cut = visible(row["cut"]) if whole else one_line(row["cut"], _PREVIEW)
            emit(stream, Text("cut away:", style="yellow"))
            stream.write(without_secrets(style(cut.rstrip("\n"), "dim", stream)) + "\n")
    if rows and any(in_loss is not None for _, in_loss in rows[0]["segments"]):
        opening, closing = _brackets(stream)
        legend = "coloured text" if has_colour(stream) else f"text in {opening} {closing}"
        emit(stream, Text(f"\nthe loss covers the {legend}", style="dim"))
    stream.flush()


def row(view: Mapping[str, Any], stream: TextIO) -> None:
    """One row, all of it."""
    shown_rows([view], stream, whole=True)


def left_out(view: Mapping[str, Any], stream: TextIO) -> None:
    """The rows that cleaning left out: step, place, why, and how each begins."""
    shown, total = view["rows"], view["total"]
    what = f"left out as {view['step']}" if view["step"] else "left out by cleaning"
    aside = f"the first {len(shown)} of {total:,}; --head N shows more" if total > len(shown) else ""
    blocks: list[RenderableType] = [heading(f"{count(total, 'row')} {what}", aside)]
    if is_bounded(stream):
        for row in shown:
            line = Text(f"{row['step']}  ", style="cyan").append(one_line(row["place"]), style="bold")
            blocks.append(line.append(f"  {one_line(row['why'])}") if row["why"] else line)
            blocks.append(Text("  " + one_line(row["text"], max(columns(stream) * 2 - 8, 40)), style="dim"))
    else:
        table = [
            (row["step"], one_line(row["place"]), one_line(row["why"]), one_line(row["text"], _PREVIEW))
            for row in shown
        ]
        blocks.append(grid(("step", "row", "why", "begins"), table))
    emit(stream, *blocks)


def masked(segments: Sequence[tuple[str, bool | None]], stream: TextIO) -> str:
    """The segments as text whose loss mask can be seen; None: no loss is known, nothing is marked."""
    opening, closing = _brackets(stream)
    pieces = []
    for text, in_loss in segments:
        shown = visible(text)
        if in_loss is None:
            pieces.append(shown)
        elif not has_colour(stream):
            pieces.append(f"{opening}{shown}{closing}" if in_loss else shown)
        else:
            pieces.append(style(shown, "green" if in_loss else "dim", stream))
    return "".join(pieces)


def shortened(segments: Sequence[Sequence[Any]], longest: int | None = SAMPLE_LENGTH) -> list[tuple[str, bool | None]]:
    """The segments, without the middle of what is longer than `longest` characters together."""
    total = sum(len(str(segment[0])) for segment in segments)
    pieces = [(str(words), in_loss) for words, in_loss in segments]
    if longest is None or total <= longest:
        return pieces
    cut_from, cut_to = longest * 2 // 3, total - longest // 3
    kept, position, marked = [], 0, False
    for words, in_loss in pieces:
        end = position + len(words)
        head = words[: max(cut_from - position, 0)]
        tail = words[max(cut_to - position, 0) :] if end > cut_to else ""
        if end > cut_from and not marked:
            head, marked = f"{head} […{cut_to - cut_from:,} characters…] ", True
        if head or tail:
            kept.append((head + tail, in_loss))
        position = end
    return kept


def _title(row: Mapping[str, Any]) -> str:
    split = "" if row["split"] == "train" else f" to {row['split'].replace('eval', 'evaluate on')}"
    return f"Row {row['row']:,} of {row['of']:,}{split}"


def _aside(row: Mapping[str, Any]) -> str:
    place = str(row["place"] or row["source"])
    file = place.rpartition(", row ")[0]
    is_said = place.startswith(row["source"]) or os.path.abspath(file) == os.path.abspath(row["source"])
    words = [one_line(place if is_said else f"{row['source']}, {place}")]
    if row["num_tokens"] is not None:
        words.append(f"{count(row['num_tokens'], 'token')}, {row['num_in_loss']:,} in the loss")
    if row["truncated"]:
        words.append("cut at max_length")
    return "; ".join(words)


def _brackets(stream: TextIO) -> tuple[str, str]:
    return ("⟦", "⟧") if shows_unicode(stream) else ("[[", "]]")
