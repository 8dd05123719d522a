"""Run a crew to its end: pass signals on, hear the first worker, and leave no process behind whatever happens."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from align_cli.errors import Interrupted, LaunchError, Terminated
from align_cli.launch.workers import blame, crew
from align_cli.launch.workers.blame import Failure
from align_cli.launch.workers.crew import Crew, Worker
from align_cli.launch.workers.events import Listener

_LOOK = 0.2  # seconds between two looks at the workers, when nothing is heard of them
_TOGETHER = 5.0  # seconds that workers get to end by themselves when one of them has failed
_AT_ONCE = 10.0  # seconds that they get after the second request to stop


class Link(Protocol):
    """The other machines of the run, as this one needs to know them."""

    def heard(self) -> tuple[str, Any] | None:
        """`("failed", document)`, `("stop", signal)`, `("lost", words)` or `("gave up", words)`; None for no news."""

    def tell(self, kind: str, value: Any) -> None:
        """Pass news of this machine on."""


class Failed(Exception):
    """The workers ended with a failure; nothing of them is left running."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"rank {failure.rank}")
        self.failure = failure


class Lost(Exception):
    """Another machine of the run is gone; the value says which and how that was noticed."""


def run(
    workers_of: Crew, *, attempt: int, on_event: Callable[[str, Any], None], link: Link | None = None
) -> dict[str, Any]:
    """Start the crew and see it through; the value is what its first worker gave as its result.

    Raises:
        Failed: a worker of this or another machine failed.
        Lost: another machine is gone.
        Interrupted: somebody asked to stop, and the workers did.
        LaunchError: the workers cannot be started.
    """
    listener = Listener()
    with _signals() as asked:
        try:
            workers = crew.start(workers_of, listener, attempt=attempt)
        except OSError as cause:
            listener.close()
            raise LaunchError(f"a worker cannot be started: {cause.strerror or cause}") from cause
        try:
            return _Watch(workers_of, workers, listener, on_event, link, asked).until_the_end()
        finally:
            crew.put_down(workers)
            listener.close()


class _Watch:
    def __init__(
        self,
        crew_: Crew,
        workers: list[Worker],
        listener: Listener,
        on_event: Callable[[str, Any], None],
        link: Link | None,
        asked: list[int],
    ) -> None:
        self.crew, self.workers, self.listener = crew_, workers, listener
        self.on_event, self.link, self.asked = on_event, link, asked
        self.passed_on = 0
        self.hurry_until: float | None = None
        self.result: dict[str, Any] = {}
        self.stopped: dict[str, Any] | None = None

    def until_the_end(self) -> dict[str, Any]:
        while any(worker.code is None for worker in self.workers):
            speaks = [self.listener.reader] if self.workers[0].code is None else []  # a closed pipe wakes at once
            select.select(speaks, [], [], _LOOK)
            self._hear()
            self._pass_signals_on()
            self._hear_machines()
            if any(_has_failed(worker) for worker in self.workers):
                self._fail()
            if self.hurry_until is not None and time.monotonic() > self.hurry_until:
                crew.put_down(self.workers)
        self._hear()
        if any(_has_failed(worker) for worker in self.workers):
            self._fail()
        if self.stopped is not None or any(worker.code for worker in self.workers):
            self._stop()
        return self.result

    def _hear(self) -> None:
        for kind, value in self.listener.events():
            if kind == "result":
                self.result = value
            elif kind == "stopped":
                self.stopped = value
            else:
                self.on_event(kind, value)

    def _pass_signals_on(self) -> None:
        """The first request lets the workers save; the second ends them at once, the third without asking."""
        while self.passed_on < len(self.asked):
            number = self.asked[self.passed_on]
            self.passed_on += 1
            if self.link is not None and self.passed_on == 1:
                self.link.tell("stop", number)
            if self.passed_on >= 3:
                crew.put_down(self.workers)
            elif self.passed_on == 2:
                self.hurry_until = time.monotonic() + _AT_ONCE
            for worker in self.workers:
                worker.send(signal.SIGTERM)

    def _hear_machines(self) -> None:
        while self.link is not None and (news := self.link.heard()) is not None:
            kind, value = news
            if kind == "stop":
                if not self.asked:
                    self.asked.append(int(value))
            elif kind == "failed":
                crew.put_down(self.workers)
                raise Failed(blame.from_dict(value))
            elif kind in ("lost", "gave up"):
                crew.put_down(self.workers)
                raise Lost(str(value))

    def _fail(self) -> None:
        crew.wait_for(self.workers, _TOGETHER)
        failed = [worker for worker in self.workers if _has_failed(worker)]  # and not those that we put down
        crew.put_down(self.workers)
        self._hear()
        failure = blame.of_workers(self.crew, failed)
        blame.leave(self.crew, failure, failed)
        if self.link is not None:
            self.link.tell("failed", failure.as_dict())
        raise Failed(failure)

    def _stop(self) -> None:
        said = self.stopped or {}
        message = str(said.get("message") or "stopped")
        kind = Terminated if self.asked and self.asked[0] == signal.SIGTERM else Interrupted
        raise kind(message, hint=str(said.get("hint") or "the same command goes on from the last checkpoint"))


def _has_failed(worker: Worker) -> bool:
    """Whether it ended with something else than success or an orderly stop."""
    return worker.code not in (None, 0, Interrupted.exit_code, Terminated.exit_code)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The requests to stop that come in during the block: Ctrl-C, and SIGTERM, which batch systems send."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def die_with_parent() -> None:
    """In a worker: ask the kernel to end this process when the one that started it is gone; Linux only."""
    import ctypes
    import sys

    parent = os.environ.get(crew.SUPERVISED, "")
    if sys.platform != "linux" or not parent.isdigit():
        return
    death = 1  # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(death, signal.SIGKILL)
    if os.getppid() != int(parent):  # it went before we asked
        os.kill(os.getpid(), signal.SIGKILL)
