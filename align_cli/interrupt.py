"""Ctrl-C while something long is done: the first asks for an orderly end, the second stops at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from align_cli.errors import Interrupted, Terminated

#: What is promised to whoever stops a training run.
CHECKPOINT = "stopping after this step: a checkpoint is saved first"


class StopRequest:
    """Whether somebody has asked for an end."""

    def __init__(self, say: Callable[[str], None], promise: str = CHECKPOINT) -> None:
        self.asked = False
        self.number = signal.SIGINT
        self.promise = promise
        """What will be done about a request, for whoever asks."""
        self._say = say

    def error(self, message: str, *, hint: str) -> Interrupted:
        """What ends the run: a batch system that sent SIGTERM can tell that it may start the command again."""
        return (Terminated if self.number == signal.SIGTERM else Interrupted)(message, hint=hint)

    def ask(self, number: int, frame: FrameType | None = None) -> None:
        """The signal handler: remembers the first request, raises KeyboardInterrupt at the second."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked, self.number = True, signal.Signals(number)
        with contextlib.suppress(RuntimeError):  # the very line we would write to was being written to
            self._say(f"{self.promise} (once more stops at once)")


@contextmanager
def listening(say: Callable[[str], None], promise: str = CHECKPOINT) -> Iterator[StopRequest]:
    """Take Ctrl-C and SIGTERM (what a batch system sends) as requests for the length of the block.

    Only the main thread of a process may do so; elsewhere the request is simply never asked.
    """
    request = StopRequest(say, promise)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}
    for number in signals:
        signal.signal(number, request.ask)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
