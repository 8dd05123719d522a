"""The worker processes of one machine: how they are started, told to stop, and put down."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from align_cli.launch.ranks import Place
from align_cli.launch.workers.events import VARIABLE, Listener

#: Tells a worker that somebody holds the run directory for it, and will clean up.
SUPERVISED = "ALIGN_SUPERVISED"
_PAUSE = 0.02  # seconds between two looks at processes that should be ending


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """What is needed to start the workers of this machine."""

    argv: tuple[str, ...]
    """The command of each."""
    env: Mapping[str, str]
    """Variables of all of them, beside this process's own."""
    local: int
    """Processes on this machine."""
    first: int
    """Rank of the first of them."""
    world: int
    """Processes on all machines."""
    address: str
    """Where rank 0 can be reached."""
    port: int
    logs: Path
    """Folder of `rank-N.log`."""
    failure: Callable[[int], Path]
    """Where the worker of a rank leaves what went wrong."""
    interface: str = ""
    """Network interface to the other machines; empty on a single one."""

    @property
    def ranks(self) -> range:
        """Ranks of this machine."""
        return range(self.first, self.first + self.local)


@dataclass(slots=True)
class Worker:
    """One running process."""

    rank: int
    process: subprocess.Popen[bytes]
    log: Path
    ended_at: float | None = field(default=None)

    @property
    def code(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        found = self.process.poll()
        if found is not None and self.ended_at is None:
            self.ended_at = time.monotonic()
        return found

    def send(self, number: int) -> None:
        """A signal to the worker alone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        """It and everything it has started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(crew: Crew, listener: Listener, *, attempt: int = 0) -> list[Worker]:
    """Start every worker of this machine; the first of them tells `listener`.

    Each gets a session of its own: a Ctrl-C in the terminal reaches only us, and we decide what it means.
    """
    crew.logs.mkdir(parents=True, exist_ok=True)
    workers: list[Worker] = []
    try:
        for local_rank, rank in enumerate(crew.ranks):
            place = Place(rank, crew.world, local_rank, crew.local)
            env = {**os.environ, **crew.env, **place.as_environment(), SUPERVISED: str(os.getpid())}
            env.update(MASTER_ADDR=crew.address, MASTER_PORT=str(crew.port), ALIGN_ATTEMPT=str(attempt))
            if crew.interface:
                env.setdefault("GLOO_SOCKET_IFNAME", crew.interface)
                env.setdefault("NCCL_SOCKET_IFNAME", crew.interface)
            descriptors: tuple[int, ...] = ()
            if local_rank == 0:
                env[VARIABLE] = str(listener.writer)
                descriptors = (listener.writer,)
            log = crew.logs / f"rank-{rank}.log"
            crew.failure(rank).unlink(missing_ok=True)
            with log.open("ab" if attempt else "wb") as file:
                process = subprocess.Popen(
                    crew.argv,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    pass_fds=descriptors,
                    start_new_session=True,
                )
            workers.append(Worker(rank, process, log))
    except OSError:
        put_down(workers)
        raise
    listener.started()
    return workers


def wait_for(workers: list[Worker], seconds: float) -> bool:
    """Whether all of them have ended by then."""
    until = time.monotonic() + seconds
    while any(worker.code is None for worker in workers):
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE)
    return True


def put_down(workers: list[Worker]) -> None:
    """End whatever still runs, with everything it started."""
    for worker in workers:
        worker.kill()
