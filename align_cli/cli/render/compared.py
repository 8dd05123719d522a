"""`align mix diff` and `align mix explain`: what differs between two mixtures, or from what the store has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import RenderableType
from rich.text import Text

from align_cli.cli.render.page import count, emit, grid, heading, is_narrow, lines, pairs
from align_cli.cli.signs import one_line

_LONGEST = 300  # characters of a sentence that quotes data
_WIDTH_OF_TABLE = 80  # columns


def difference(view: Mapping[str, Any], stream: TextIO) -> None:
    """The page of `align mix diff`; see `mix.compare.compare` for its keys."""
    blocks: list[RenderableType] = [pairs([(side.upper(), _side(view[side])) for side in ("a", "b")])]
    if view["same"]:
        text = "the rows are the same, in the same order"
        blocks.append(Text(f"\n  {text}", style="green"))
    if view["parameters"]:
        blocks += [heading("Inputs"), lines(one_line(change["text"], _LONGEST) for change in view["parameters"])]
    if view["why_no_rows"]:
        blocks += [heading("Rows"), lines([view["why_no_rows"], *_counts_only(view["splits"])])]
    elif not view["same"]:
        blocks += [heading("Rows"), _rows(view, stream)]
        moved = view["moved"]
        said = [
            f"{count(moved[key], 'row')} moved from {key.split('_')[0]} to {key.split('_')[2]}"
            for key in ("train_to_eval", "eval_to_train")
            if moved[key]
        ]
        if said:
            blocks.append(lines(said))
        for key, name in (("only_a", "Only in A"), ("only_b", "Only in B")):
            if examples := view["examples"][key]:
                shown = [Text(one_line(one["where"]), "bold").append(f"  {one_line(one['text'])}") for one in examples]
                blocks += [heading(name, "the first of them"), lines(shown)]
    emit(stream, *blocks)


def explanation(view: Mapping[str, Any], stream: TextIO) -> None:
    """The page of `align mix explain`."""
    blocks: list[RenderableType] = []
    for name in ("mixture", "tokens"):
        found = view[name]
        if found is None:
            blocks.append(
                pairs([(f"{name:<7}", Text(f"not looked at: {one_line(view['why_no_tokens'])}", style="dim"))])
            )
            continue
        if found["hit"]:
            blocks.append(pairs([(f"{name:<7}", Text(f"in the store: {found['digest'][:16]}", style="green"))]))
            continue
        said = Text("has to be built", style="yellow").append(f": {found['digest'][:16]}")
        blocks.append(pairs([(f"{name:<7}", said)]))
        if found["nearest"]:
            blocks.append(Text(f"    most like it in the store is {found['nearest'][:16]}; what changed:", style="dim"))
            blocks.append(lines(one_line(change["text"], _LONGEST) for change in found["changes"]))
        else:
            blocks.append(Text("    nothing in the store is like it", style="dim"))
        if found["unknown"]:
            blocks.append(Text(f"    {count(found['unknown'], 'stored thing')} of older versions not compared"))
    emit(stream, *blocks)


def _side(side: Mapping[str, Any]) -> Text:
    text = Text(one_line(side["name"]), style="bold")
    evaluation = f", {side['num_eval']:,} to evaluate on" if side["num_eval"] else ""
    return text.append(f"  {(side['digest'] or '')[:16]}  {side['num_train']:,} rows{evaluation}", style="dim")


def _counts_only(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{split}: {both['a']:,} rows in A, {both['b']:,} in B"
        for split, both in splits.items()
        if both["a"] is not None and both["b"] is not None and (both["a"] or both["b"])
    ]


def _rows(view: Mapping[str, Any], stream: TextIO) -> RenderableType:
    """For the whole and for each source: rows that only one has, that both have, and whether in the same order."""
    table: list[list[str | Text]] = []
    for split in ("train", "eval"):
        if view["splits"][split]["a"] or view["splits"][split]["b"]:
            table.append(_row(f"all {split}", view["splits"][split], bold=True))
        for source in view["sources"]:
            if source[split]["a"] or source[split]["b"]:
                names = dict.fromkeys(one_line(source[side]) for side in ("a", "b") if source[side] is not None)
                table.append(_row("  " + " = ".join(names), source[split], bold=False))
    header = ("", "only A", "only B", "both", "")
    if not is_narrow(stream, _WIDTH_OF_TABLE):
        return grid(header, table, right=(1, 2, 3))
    made: list[tuple[str, str | Text]] = []
    for row in table:
        made.append((str(row[0]), f"{row[1]} only in A, {row[2]} only in B, {row[3]} in both {row[4]}".rstrip()))
    return pairs(made)


def _row(name: str, counts: Mapping[str, Any], *, bold: bool) -> list[str | Text]:
    order = "" if counts["same_order"] or not counts["both"] else "in another order"
    first = Text(name, style="bold" if bold else "")
    return [first, *(f"{counts[key]:,}" for key in ("only_a", "only_b", "both")), order]
