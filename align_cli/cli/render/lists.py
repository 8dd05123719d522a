"""The tables of `align task ls`, `align recipe ls`, `align recipe check` and `align doctor`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from align_cli.cli.render.page import count, emit, grid, heading, lines, pairs


def tasks(rows: Sequence[Mapping[str, Any]], *, what: str = "task") -> None:
    """Tasks or benchmarks: name, what it does, where it comes from; a broken plugin with its cause."""
    table = []
    for row in rows:
        if row["problem"]:
            table.append((row["name"], Text(row["problem"], style="red"), row["from"]))
        else:
            table.append((row["name"], row["summary"], row["from"]))
    emit(sys.stdout, grid((what, "what it does", "from"), table, whole=(0,)))


def recipes(rows: Sequence[Mapping[str, str]]) -> None:
    """Shipped recipes by name."""
    table = [(row["name"], row["task"], row["summary"]) for row in rows]
    emit(sys.stdout, grid(("recipe", "task", "what it is"), table, whole=(0, 1)))


def checked(rows: Sequence[Mapping[str, Any]], *, quiet: bool) -> None:
    """One line per file; the problems follow as plain text on stderr."""
    failed = sum(1 for row in rows if row["problems"])
    table = []
    for row in rows:
        if quiet and not row["problems"]:
            continue
        verdict = Text(count(len(row["problems"]), "problem"), style="red") if row["problems"] else Text("ok", "green")
        notes = count(len(row["notes"]), "note") if row["notes"] else ""
        table.append((verdict, row["path"], row["task"] or "?", row["profile"] or "", notes))
    if table:
        emit(sys.stdout, grid(("", "recipe", "task", "profile", ""), table, whole=(0, 2)))
    total = f"{count(len(rows), 'recipe')} checked, " + (f"{failed} with problems" if failed else "all fine")
    emit(sys.stdout, Text(total, style="red" if failed else "green"))


def doctor(report: Mapping[str, Any]) -> None:
    """Versions, devices, and per feature whether it works here and what is missing."""
    blocks: list[Any] = [Text("Versions", style="bold"), pairs(list(report["versions"].items()))]
    blocks += [heading("This machine"), pairs(list(report["machine"].items()))]
    marks = {"ok": Text("ok", style="green"), "off": Text("-", style="dim"), "missing": Text("missing", style="yellow")}
    rows = [(item["feature"], marks.get(item["state"], item["state"]), item["detail"]) for item in report["features"]]
    blocks += [heading("Features"), grid(("feature", "", "what it needs"), rows, whole=(0, 1))]
    if report["notes"]:
        blocks += [heading("Notes"), lines(report["notes"])]
    emit(sys.stdout, *blocks)
