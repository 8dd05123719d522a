"""`align runs diff`: what differs between two runs, and their results side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import RenderableType
from rich.text import Text

from align_cli.cli.render.page import emit, grid, heading, is_narrow, lines, number, pairs
from align_cli.cli.render.planned import spelled
from align_cli.cli.render.run_list import STYLES
from align_cli.cli.signs import one_line

_WIDTH_OF_TABLE = 90  # columns
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SECTIONS = (
    ("profile", "Profile"), ("mixture", "Mixture"), ("data", "Data"), ("model", "Model"), ("steps", "Steps"),
    ("time", "Time"), ("versions", "Versions"), ("host", "Host"),
)  # fmt: skip


def runs_difference(view: Mapping[str, Any], stream: TextIO) -> None:
    """The page for the document of `runs.compare.compare`."""
    narrow = is_narrow(stream, _WIDTH_OF_TABLE)
    blocks: list[RenderableType] = [pairs([(side.upper(), _side(view[side])) for side in ("a", "b")])]
    if view["same"]:
        blocks.append(Text("\n  recipe, data and model are the same", style="green"))
    if view["recipe"]:
        blocks += [heading("Recipe"), _recipe(view["recipe"], narrow)]
    if view["sources"]:
        rows = [(one_line(entry["key"]), _source(entry["a"]), _source(entry["b"])) for entry in view["sources"]]
        blocks += [heading("Sources"), _table(("source", "A", "B"), rows, narrow)]
    for key, title in _SECTIONS:
        if view[key]:
            rows = [(one_line(str(e["key"])), _value(e["a"]), _value(e["b"])) for e in view[key]]
            blocks += [heading(title), _table(("", "A", "B"), rows, narrow)]
    if view["results"]:
        blocks += [heading("Results"), _results(view["results"], narrow)]
    if view["problems"]:
        said = [Text(one_line(f"{one['where']}: {one['message']}"), "red") for one in view["problems"]]
        blocks += [heading("Damaged"), lines(said)]
    emit(stream, *blocks)


def _side(side: Mapping[str, Any]) -> Text:
    text = Text(one_line(side["run"]), style="bold").append("  ")
    return text.append(side["status"], style=STYLES.get(side["status"], "")).append(f", {one_line(side['task'])}", "")


def _recipe(entries: Sequence[Mapping[str, Any]], narrow: bool) -> RenderableType:
    rows = []
    for entry in entries:
        key = Text(one_line(entry["key"]), style="dim" if entry["free"] else "")
        cells = [_chosen(entry[side], entry[f"{side}_from"]) for side in ("a", "b")]
        rows.append((key, *cells))
    return _table(("key", "A", "B"), rows, narrow)


def _chosen(value: Any, origin: str) -> Text:
    return Text(_value(value)).append(f"  {one_line(origin)}" if origin else "", style="dim")


def _value(value: Any) -> str:
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return value[:12]
    return "not set" if value is None else one_line(spelled(value))


def _source(side: Mapping[str, Any] | None) -> str:
    if side is None:
        return "not in it"
    words = [f"{number(side['kept'])} of {number(side['available'])} rows"]
    if side["tokens"] is not None:
        words.append(f"{number(side['tokens'])} tokens")
    if side["commit"]:
        words.append(one_line(str(side["commit"]))[:12])
    return ", ".join(words)


def _results(entries: Sequence[Mapping[str, Any]], narrow: bool) -> RenderableType:
    rows = []
    for entry in entries:
        change = ""
        if entry["difference"] is not None:
            share = f" ({entry['relative']:+.1%})" if entry["relative"] is not None else ""
            change = f"{entry['difference']:+.4g}{share}" if entry["difference"] else "the same"
        rows.append((one_line(entry["metric"]), _number(entry["a"]), _number(entry["b"]), change))
    if narrow:
        return pairs([(name, f"{a or '-'} → {b or '-'}  {change}".rstrip()) for name, a, b, change in rows])
    return grid(("metric", "A", "B", "B - A"), rows, right=(1, 2, 3))


def _number(value: float | None) -> str:
    return f"{value:.6g}" if value is not None else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str | Text]], narrow: bool) -> RenderableType:
    if not narrow:
        return grid(header, rows, whole=(0,))
    flat: list[tuple[str, str | Text]] = []
    for name, a, b in rows:
        flat += [(str(name), Text("A ", "dim").append_text(_text(a))), ("", Text("B ", "dim").append_text(_text(b)))]
    return pairs(flat)


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)
