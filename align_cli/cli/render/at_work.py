"""What a command is doing, on stderr: nothing for the first second, then sentences, in a terminal on a moving line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from align_cli.cli.errors import without_secrets
from align_cli.cli.signs import one_line
from align_cli.cli.text import has_colour, is_terminal

_QUIET = 1.0  # seconds: what is done by then needs no words
_FRAMES = 8  # redraws per second


@contextmanager
def working(stream: TextIO) -> Iterator[Callable[[str], None]]:
    """Give a way to say what is being done. What is said in the first second is shown only if it takes longer."""
    shown: _Line | _Plain = _Line(stream) if is_terminal(stream) and has_colour(stream) else _Plain(stream)
    timer = threading.Timer(_QUIET, shown.begin)
    timer.daemon = True
    timer.start()
    try:
        yield shown.say
    finally:
        timer.cancel()
        shown.end()


class _Plain:
    """A line for each thing that takes long enough to be worth it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock = stream, threading.Lock()
        self._waiting: str | None = None
        self._begun = self._ended = False

    def begin(self) -> None:
        with self._lock:
            if self._ended:
                return
            self._begun = True
            if self._waiting is not None:
                self._write(self._waiting)

    def say(self, line: str) -> None:
        with self._lock:
            self._waiting = line
            if self._begun:
                self._write(line)

    def end(self) -> None:
        with self._lock:
            self._ended = True

    def _write(self, line: str) -> None:
        self._stream.write(without_secrets(one_line(line)) + "\n")
        self._stream.flush()


class _Line:
    """One line that says the latest and how long all of it takes; gone when the work is done."""

    def __init__(self, stream: TextIO) -> None:
        self._lock = threading.Lock()
        self._text, self._since = "", time.monotonic()
        self._ended = False
        console = Console(file=stream, highlight=False, emoji=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=_FRAMES,
        )
        self._task = self._progress.add_task("", total=None)
        self._begun = False

    def begin(self) -> None:
        with self._lock:
            if not self._ended:
                self._begun = True
                self._progress.start()

    def say(self, line: str) -> None:
        self._progress.update(self._task, description=without_secrets(one_line(line)))

    def end(self) -> None:
        with self._lock:
            self._ended = True
            if self._begun:
                self._progress.stop()
