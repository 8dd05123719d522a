"""`align cache`: what is kept, how large and how old it is, and what it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import RenderableType
from rich.text import Text

from align_cli.cli.render.page import count, emit, grid, heading, is_narrow, number, pairs
from align_cli.cli.signs import one_line
from align_cli.cli.size import bytes_as_text

_DIGEST = 12  # characters: enough to name it, short enough to type
_WIDTH_OF_TABLE = 72  # columns
_LABELS = 60  # characters of all labels together


def cache(view: Mapping[str, Any], stream: TextIO, *, now: float) -> None:
    """`align cache ls`; `now` in seconds since 1970."""
    entries = view["entries"]
    blocks: list[RenderableType] = []
    if entries:
        blocks.append(_table(entries, stream, now))
    total = f"{count(len(entries), 'thing')}, {bytes_as_text(view['bytes'])} in {view['cache']}"
    blocks.append(Text(total if entries else f"nothing is kept in {view['cache']}", style="dim"))
    if left := view["remains"]["count"]:
        size = bytes_as_text(view["remains"]["bytes"])
        blocks.append(Text(f"killed processes left {size} in {count(left, 'place')}: align cache rm --all sweeps it"))
    emit(stream, *blocks)


def cache_entry(view: Mapping[str, Any], stream: TextIO, *, now: float) -> None:
    """`align cache show`."""
    rows: list[tuple[str, str | Text]] = [
        ("kind", " ".join(filter(None, (view["kind"], f"({view['holds']})" if view["holds"] else "")))),
        ("digest", view["digest"]),
        ("folder", str(view["folder"])),
        ("size", bytes_as_text(view["bytes"])),
        ("made", f"{age(now - view['made'])} ago"),
    ]
    if view["rows"] is not None:
        evaluation = f", {view['eval_rows']:,} to evaluate on" if view["eval_rows"] else ""
        rows.append(("rows", f"{view['rows']:,} to train on{evaluation}"))
    if view["problem"]:
        rows.append(("problem", Text(one_line(view["problem"]), style="red")))
    blocks: list[RenderableType] = [pairs(rows)]
    report = view["report"] or {}
    sources = report.get("sources") or ()
    if sources:
        table = [
            (one_line(one["label"]), one.get("taken", ""), number(one.get("available")), number(one.get("kept")))
            for one in sources
        ]
        blocks += [heading("Sources"), grid(("source", "take", "usable", "kept"), table, right=(2, 3))]
    elif view["labels"]:
        blocks += [heading("Made of"), pairs([("", one_line(label)) for label in view["labels"]])]
    if view["kind"] == "model":
        blocks += [Text(), _about_adapters(view["adapters"], "would not open them without it")]
    emit(stream, *blocks)


def cache_removed(view: Mapping[str, Any], stream: TextIO, *, now: float) -> None:
    """`align cache rm`."""
    removed = view["removed"]
    verb = "would be removed" if view["dry_run"] else "removed"
    blocks: list[RenderableType] = [_table(removed, stream, now)] if removed else []
    blocks.append(Text(f"{count(len(removed), 'thing')} {verb}, {bytes_as_text(view['bytes'])}"))
    if any(entry["kind"] == "model" for entry in removed):
        blocks.append(_about_adapters(view["adapters"], "do not open them until then"))
    emit(stream, *blocks)


def _about_adapters(adapters: Sequence[Mapping[str, Any]], otherwise: str) -> Text:
    """What it means for adapters that a model leaves the cache, and for which of the runs hereabouts."""
    named = f" (here: {', '.join(one['adapter'] for one in adapters)})" if adapters else ""
    return Text(
        f"adapters that were trained on it name this folder as their base{named}: align makes it again when one of "
        f"them is used; peft and transformers by themselves {otherwise}",
        style="yellow" if adapters else "dim",
    )


def age(seconds: float) -> str:
    """7300 -> "2 h": the largest unit that fits."""
    for name, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length):,} {name}"
    return f"{max(int(seconds), 0)} s"


def _table(entries: Sequence[Mapping[str, Any]], stream: TextIO, now: float) -> RenderableType:
    rows = []
    for entry in entries:
        labels = one_line(", ".join(entry["labels"]), _LABELS)
        made_of = Text(labels)
        if entry["problem"]:
            made_of = Text(one_line(entry["problem"]), style="red")
        cells = [
            entry["digest"][:_DIGEST],
            entry["kind"],
            bytes_as_text(entry["bytes"]),
            age(now - entry["made"]),
            number(entry["rows"]),
        ]
        rows.append([*cells, made_of])
    header = ["digest", "kind", "size", "age", "rows", "made of"]
    if not is_narrow(stream, _WIDTH_OF_TABLE):
        return grid(header, rows, right=(2, 3, 4), whole=(0, 1))
    flat: list[tuple[str, str | Text]] = []
    for row in rows:
        flat.append((str(row[0]), f"{row[1]}, {row[2]}, {row[3]} old" + (f", {row[4]} rows" if row[4] else "")))
        flat.append(("", row[5]))
    return pairs(flat)
