"""How far a count has come: a bar in a terminal, a line for each tenth in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from align_cli.cli.errors import without_secrets
from align_cli.cli.render.page import duration
from align_cli.cli.text import has_colour, is_terminal

_TENTHS = 10
_FRAMES = 4  # redraws per second: the cores have better things to do


class Counter(Protocol):
    """Where a count is seen."""

    def show(self, done: int, total: int, aside: str = "", seconds_left: float | None = None) -> None:
        """So many are done; `aside` is a few words beside it."""

    def say(self, line: str) -> None:
        """Show one sentence, above the bar if there is one."""


@contextmanager
def counting(stream: TextIO, noun: str) -> Iterator[Counter]:
    """A counter on `stream` for the length of the block; `noun` (plural) is what is counted."""
    if not (is_terminal(stream) and has_colour(stream)):
        yield _Plain(stream, noun)
        return
    console = Console(file=stream, highlight=False, emoji=False)
    columns = (
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn(noun),
        TextColumn("{task.fields[aside]}", style="dim", markup=False),
        TextColumn("{task.fields[left]}", style="cyan"),
    )
    with Bar(
        *columns,
        console=console,
        transient=True,
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
        refresh_per_second=_FRAMES,
    ) as bar:
        yield _Live(bar)


class _Live:
    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, aside="", left="", visible=False)

    def show(self, done: int, total: int, aside: str = "", seconds_left: float | None = None) -> None:
        left = f"{duration(seconds_left)} left" if seconds_left is not None else ""
        self._bar.update(self._task, completed=done, total=total, aside=aside, left=left, visible=True)

    def say(self, line: str) -> None:
        self._bar.console.print(without_secrets(line), markup=False, soft_wrap=True)


class _Plain:
    def __init__(self, stream: TextIO, noun: str) -> None:
        self._stream, self._noun = stream, noun
        self._shown: int | None = None

    def show(self, done: int, total: int, aside: str = "", seconds_left: float | None = None) -> None:
        tenth = done * _TENTHS // total if total else _TENTHS
        if self._shown is None:
            self._shown = tenth  # where it begins needs no line
        if tenth <= self._shown:
            return
        self._shown = tenth
        left = f"{duration(seconds_left)} left" if seconds_left else ""
        self.say(", ".join(part for part in (f"{done}/{total} {self._noun}", aside, left) if part))

    def say(self, line: str) -> None:
        self._stream.write(without_secrets(line) + "\n")
        self._stream.flush()
