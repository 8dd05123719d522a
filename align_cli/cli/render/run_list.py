"""`align runs ls`: a table where it fits, a few lines a run where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from rich.console import RenderableType
from rich.text import Text

from align_cli.cli.render.page import count, emit, grid, is_narrow, lines, number, pairs
from align_cli.cli.render.stored import age
from align_cli.cli.signs import one_line
from align_cli.cli.size import bytes_as_text

STYLES = {
    "running": "cyan", "finished": "green", "failed": "red", "interrupted": "yellow", "prepared": "dim",
    "damaged": "red",
}  # fmt: skip
_WIDTH_OF_TABLE = 118  # columns
_LONGEST = 28  # characters of a model's or a source's name in the table
_HEADER = ("run", "status", "task", "model", "data", "steps", "loss", "eval", "best", "age", "size")


def runs(view: Mapping[str, Any], stream: TextIO, *, now: float) -> None:
    """`now` in seconds since 1970."""
    found = view["runs"]
    blocks: list[RenderableType] = []
    if found and is_narrow(stream, _WIDTH_OF_TABLE):
        blocks += [_card(run, now) for run in found]
    elif found:
        rows = [_row(run, now) for run in found]
        blocks.append(grid(_HEADER, rows, right=(5, 6, 7, 8, 9, 10), whole=(1, 2)))
    blocks.append(Text(_total(view), style="dim"))
    problems = [
        Text(f"{one_line(run['name'])}: ", "yellow").append(one_line(problem))
        for run in found
        for problem in run["problems"]
    ]
    problems += [Text(f"{one_line(folder)} cannot be looked into", "yellow") for folder in view["unreadable"]]
    if view["cut_short"]:
        problems.append(Text("there are too many folders here to look into all: name the one with the runs", "yellow"))
    if problems:
        blocks.append(lines(problems))
    emit(stream, *blocks)


def status(run: Mapping[str, Any]) -> Text:
    """The status, and what it can be resumed from."""
    return Text(run["status"], style=STYLES.get(run["status"], ""))


def name_of_model(name: str) -> str:
    """A Hub id as it is; of a path or a package's file the last part."""
    if "://" in name or name.startswith((".", "/", "~")) or name.count("/") > 1:
        return name.rstrip("/").rpartition("/")[2]
    return name


def _row(run: Mapping[str, Any], now: float) -> list[str | Text]:
    return [
        one_line(run["name"]),
        status(run),
        one_line(run["task"]),
        one_line(name_of_model(run["model"]), _LONGEST),
        _data(run, _LONGEST),
        _steps(run),
        _loss(run["loss"]),
        _loss(run["eval_loss"]),
        _loss(run["best_eval_loss"]),
        _age(run, now),
        bytes_as_text(run["bytes"]),
    ]


def _card(run: Mapping[str, Any], now: float) -> RenderableType:
    """One run in lines of its own."""
    head = status(run).append(f", {one_line(run['task'])}" if run["task"] else "", style="")
    if run["resumes_from"]:
        head.append(f", goes on from {run['resumes_from']}", style="dim")
    rows: list[tuple[str, str | Text]] = [("", head)]
    losses = [("loss", run["loss"]), ("eval", run["eval_loss"]), ("best", run["best_eval_loss"])]
    values = [f"steps {_steps(run)}" if _steps(run) else "", *(f"{n} {_loss(v)}" for n, v in losses if v is not None)]
    of_what = ", ".join(filter(None, (name_of_model(run["model"]), _data(run, None))))
    rows += [("", one_line(line)) for line in (of_what, ", ".join(filter(None, values))) if line]
    rows.append(("", f"{_age(run, now)} ago, {bytes_as_text(run['bytes'])}"))
    name = Text(one_line(run["name"]), style="bold", overflow="fold")
    return _stack(name, pairs(rows))


def _stack(*blocks: RenderableType) -> RenderableType:
    from rich.console import Group

    return Group(*blocks)


def _data(run: Mapping[str, Any], longest: int | None) -> str:
    labels: Sequence[str] = run["sources"]
    if not labels:
        return ""
    more = f" +{len(labels) - 1}" if len(labels) > 1 else ""
    rows = f", {run['rows']:,} rows" if run["rows"] is not None else ""
    return f"{one_line(labels[0], longest)}{more}{rows}"


def _steps(run: Mapping[str, Any]) -> str:
    done, total = run["step"], run["num_steps"]
    if done is None and total is None:
        return ""
    return f"{done or 0:,}/{total:,}" if total is not None else f"{done:,}"


def _loss(value: float | None) -> str:
    return f"{value:.4g}" if value is not None else ""


def _age(run: Mapping[str, Any], now: float) -> str:
    if run["when"] is None:
        return ""
    return age(max(now - datetime.fromisoformat(run["when"]).timestamp(), 0))


def _total(view: Mapping[str, Any]) -> str:
    found = view["runs"]
    where = " and ".join("the working directory" if place == "." else f"{place}/" for place in view["places"])
    left_out = f", {number(view['left_out'])} left out" if view["left_out"] else ""
    if not found:
        return f"no run{' fits' if view['left_out'] else ' was found'} in {where.replace('//', '/')}{left_out}"
    return f"{count(len(found), 'run')}, {bytes_as_text(sum(run['bytes'] for run in found))}{left_out}"
