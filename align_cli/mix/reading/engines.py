"""Who reads the pieces of a mixture: this process, processes beside it, or a Ray cluster. It never changes a byte."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from align_cli import cores
from align_cli.errors import AlignError, UsageError

Item = TypeVar("Item")
Made = TypeVar("Made")

ENGINES = ("auto", "local", "ray")

#: Bytes of input from which processes, each of which imports everything again, save more than they cost.
_WORTH_PROCESSES = 256 << 20
_AHEAD = 2  # items for each worker that may be done or under way before their turn: their results wait in memory


class Engine(Protocol):
    """A way to do the same work on many items."""

    @property
    def name(self) -> str:
        """`inline`, `local` or `ray`."""

    @property
    def workers(self) -> int | None:
        """Items worked on at a time; None where a cluster decides."""

    @property
    def shares_disk(self) -> bool:
        """Whether workers write where the caller can read. If not, what they make must travel in the result."""

    def map(self, work: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[Made]:
        """`work` on each item, the results in the order of the items.

        `work` is a function that can be imported; items and results can be pickled. What `work` raises is raised here.

        Raises:
            AlignError: a worker was killed.
        """


class Inline:
    """One item after the other, in this process."""

    name = "inline"
    workers = 1
    shares_disk = True

    def map(self, work: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[Made]:
        """See `Engine.map`."""
        return map(work, items)


class Local:
    """Processes on this machine. Threads would not do: much of the work holds Python's lock."""

    name = "local"
    shares_disk = True

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, work: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[Made]:
        """See `Engine.map`. Leaving the iterator early, or Ctrl-C, ends the processes at once."""
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool
        from multiprocessing import get_context

        workers = min(self.workers, len(items))
        if workers < 2:
            yield from map(work, items)
            return
        # Not forked: that may copy a lock which some thread of ours holds, and which nobody will ever open.
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
        waiting: deque[Any] = deque()
        try:
            for item in items:
                with _without_ctrl_c(), _without_main():
                    waiting.append(pool.submit(work, item))
                if len(waiting) >= workers * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise AlignError(
                "a worker process was killed while it read the data, probably for want of memory",
                hint="try again with fewer of them: --workers 1",
            ) from None
        finally:
            if waiting:  # what is under way would be thrown away
                _kill(pool)
            pool.shutdown(wait=True, cancel_futures=True)


def choose(name: str = "auto", workers: int | None = None, *, size: int) -> Engine:
    """The engine for `size` bytes of input. `workers`: None for as many as there are cores to use.

    Raises:
        UsageError: there is no such engine, or it is not installed.
    """
    if name not in ENGINES:
        raise UsageError(f'there is no engine "{name}"', hint=f"one of {', '.join(ENGINES)}")
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers cannot do anything", hint="--workers 1 or more")
    if name == "ray":
        from align_cli.mix.reading.engine_ray import Ray

        cluster: Engine = Ray(workers)
        return cluster
    count = workers or cores.usable()
    if count == 1 or (workers is None and size < _WORTH_PROCESSES):
        return Inline()
    return Local(count)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Processes started inside never see Ctrl-C, not even while they import: this one ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main() -> Iterator[None]:
    """Processes started inside do not run the caller's script again, which would begin the same build."""
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name) for name in ("__spec__", "__file__") if hasattr(main, name)}
    try:
        for name in kept:
            setattr(main, name, None)
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def _begin() -> None:
    """In a new worker: one thread for its arithmetic, as there are others like it; and it ends with its parent."""
    import threading
    from multiprocessing import connection, parent_process

    os.environ["OMP_NUM_THREADS"] = "1"  # pyarrow's pool asks for this, too
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _kill(pool: Any) -> None:
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()
