"""The progress of a run: a live bar in a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from align_cli.cli.errors import without_secrets
from align_cli.cli.render.page import duration
from align_cli.cli.text import has_colour, is_terminal
from align_cli.tasks.task import Progress

_LINES = 10  # a piped run writes about this many
_FRAMES = 4  # redraws per second: the cores have better things to do
_ROOM = 84  # columns from which the speed is shown too


class Display(Protocol):
    """What a run needs of a display: progress, and sentences."""

    def progress(self, moment: Progress) -> None:
        """Show one moment."""

    def say(self, line: str) -> None:
        """Show one sentence, above the bar if there is one."""


@contextmanager
def display(stream: TextIO | None = None) -> Iterator[Display]:
    """A display on `stream` (stderr) for the time of a run."""
    stream = stream or sys.stderr
    if is_terminal(stream) and has_colour(stream):
        with _bar(stream) as bar:
            yield _Live(bar)
    else:
        yield _Plain(stream)


def _bar(stream: TextIO) -> Bar:
    console = Console(file=stream, highlight=False, emoji=False)
    columns = [BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.fields[loss]}")]
    if console.width >= _ROOM:
        columns.append(TextColumn("{task.fields[speed]}", style="dim"))
    columns.append(TextColumn("{task.fields[left]}", style="cyan"))
    return Bar(
        *columns,
        console=console,
        transient=True,
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
        refresh_per_second=_FRAMES,
    )


class _Live:
    """A bar with steps, loss, tokens per second and time left."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("train", total=None, loss="", speed="", left="", visible=False)

    def progress(self, moment: Progress) -> None:
        if "eval_loss" in moment.metrics:
            self.say(_evaluation(moment))
        if "loss" in moment.metrics:
            self._bar.update(self._task, loss=f"loss {moment.metrics['loss']:.4f}")
        self._bar.update(
            self._task,
            completed=moment.step,
            total=moment.num_steps,
            speed=f"{moment.tokens_per_second:,.0f} tokens/s" if moment.tokens_per_second else "",
            left=f"{duration(moment.seconds_left)} left" if moment.seconds_left is not None else "",
            visible=True,
        )

    def say(self, line: str) -> None:
        self._bar.console.print(without_secrets(line), markup=False, soft_wrap=True)


class _Plain:
    """At most a line per tenth of the run, at a step that logs its loss, and one per evaluation."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next = 0.0

    def progress(self, moment: Progress) -> None:
        if "eval_loss" in moment.metrics:
            self.say(_evaluation(moment))
        done = moment.step / moment.num_steps if moment.num_steps else 0.0
        # A loss is said at the step it belongs to; between two logs there is none to say.
        if "loss" not in moment.metrics or done < self._next:
            return
        self._next = (int(done * _LINES) + 1) / _LINES
        speed = f", {moment.tokens_per_second:,.0f} tokens/s" if moment.tokens_per_second else ""
        left = f", {duration(moment.seconds_left)} left" if moment.seconds_left else ""
        self.say(f"step {moment.step}/{moment.num_steps}: loss {moment.metrics['loss']:.4f}{speed}{left}")

    def say(self, line: str) -> None:
        self._stream.write(without_secrets(line) + "\n")
        self._stream.flush()


def _evaluation(moment: Progress) -> str:
    return f"step {moment.step}/{moment.num_steps}: eval_loss {moment.metrics['eval_loss']:.4f}"
