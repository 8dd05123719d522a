"""Which worker failed first, and what to tell the user about it.

When one process of a run dies, the others fail too, each complaining of its neighbour. What they left behind is read
for the one that had a reason of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli import errors
from align_cli.errors import AlignError, Problem, TrainingError
from align_cli.files import write_json
from align_cli.launch.workers.crew import Crew, Worker
from align_cli.recipe import secrets

#: What a process says that lost a neighbour, in gloo's, NCCL's and the store's words.
_OF_A_NEIGHBOUR = (
    "connection closed by peer", "connection reset", "broken pipe", "connection refused", "socket closed",
    "recvvalue failed", "sendbytes failed", "failed to recv", "processgroupnccl", "nccl communicator was aborted",
    "remote process exited", "gloo/transport", "application timeout caused pair closure", "timed out waiting",
)  # fmt: skip
_LAST_LINES = 12
_BY_MEMORY = (signal.SIGKILL,)


@dataclass(frozen=True, slots=True)
class Failure:
    """One worker's end, as far as it can be told."""

    rank: int
    host: str
    pid: int
    code: int
    document: dict[str, Any] | None
    """What it left in its failure file."""
    last_lines: tuple[str, ...]
    """Of its log, for a worker that left nothing else."""

    @property
    def is_own(self) -> bool:
        """Whether it had a reason of its own, and did not merely lose a neighbour."""
        if self.code < 0:
            return self.code != -signal.SIGABRT or not self._blames_a_neighbour(" ".join(self.last_lines))
        if self.document is None:
            return not self._blames_a_neighbour(" ".join(self.last_lines))
        return not self._blames_a_neighbour(str(self.document.get("message", "")))

    @staticmethod
    def _blames_a_neighbour(words: str) -> bool:
        return any(mark in words.lower() for mark in _OF_A_NEIGHBOUR)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for the other machines."""
        return {
            "rank": self.rank,
            "host": self.host,
            "pid": self.pid,
            "code": self.code,
            "document": self.document,
            "last_lines": list(self.last_lines),
        }


def from_dict(document: dict[str, Any]) -> Failure:
    """The inverse of `as_dict`."""
    return Failure(
        int(document["rank"]),
        str(document["host"]),
        int(document["pid"]),
        int(document["code"]),
        document["document"],
        tuple(document["last_lines"]),
    )


def of_workers(crew: Crew, workers: Sequence[Worker]) -> Failure:
    """The failure of this machine's workers that came first and had a reason of its own."""
    failed = [worker for worker in workers if worker.code]
    failed.sort(key=lambda worker: worker.ended_at or 0.0)
    found = [_of(crew, worker) for worker in failed]
    return next((one for one in found if one.is_own), found[0])


def leave(crew: Crew, failure: Failure, workers: Sequence[Worker]) -> None:
    """Put the failure files of this machine right: who was to blame has one, who only lost a neighbour has none.

    A worker that was killed cannot write its own, and what the others say of it would be all that is left to read.
    """
    if not failure.is_own:
        return  # the reason is on another machine: what they say is all there is
    for worker in workers:
        if worker.rank != failure.rank and worker.code and not _of(crew, worker).is_own:
            crew.failure(worker.rank).unlink(missing_ok=True)
    if failure.document is not None:
        return
    ended = f"killed by {_signal(-failure.code)}" if failure.code < 0 else f"ended with exit code {failure.code}"
    document = {
        "type": "Killed" if failure.code < 0 else "Ended",
        "message": ended,
        "host": failure.host,
        "pid": failure.pid,
        "last_lines": list(failure.last_lines),
    }
    hidden = tuple(value for name, value in os.environ.items() if secrets.is_secret(name) and value)
    with contextlib.suppress(OSError):  # a full disk must not hide the failure itself
        write_json(crew.failure(failure.rank), json.loads(secrets.scrub(json.dumps(document), hidden)))


def _of(crew: Crew, worker: Worker) -> Failure:
    document = None
    with contextlib.suppress(OSError, ValueError):  # it was killed, or died before it could write
        document = json.loads(crew.failure(worker.rank).read_text(encoding="utf-8"))
    return Failure(worker.rank, socket.gethostname(), worker.process.pid, worker.code or 0, document, _tail(worker.log))


def _tail(log: Path) -> tuple[str, ...]:
    try:
        text = log.read_bytes()[-8000:].decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(line for line in text.splitlines() if line.strip())[-_LAST_LINES:]


def as_error(failure: Failure, *, world: int, hint: str, log: Path) -> AlignError:
    """The one message: which rank on which host, what it said, what to do."""
    who = f"rank {failure.rank} of {world} on {failure.host}"
    if failure.code < 0:
        return _killed(failure, who, hint)
    if failure.document is not None:
        kind = getattr(errors, str(failure.document.get("type")), None)
        message = str(failure.document.get("message") or failure.document.get("type"))
        problems = [
            Problem(p["message"], p.get("where", ""), p.get("hint", "")) for p in failure.document.get("problems", ())
        ]
        if isinstance(kind, type) and issubclass(kind, AlignError):
            return kind(f"{who}: {message}", problems=problems, hint=str(failure.document.get("hint") or hint))
        words = f"{failure.document.get('type')}: {message}".strip()
        return TrainingError(f"{who} failed: {words}", hint=f"{log} has the traceback; {hint}")
    said = "; its last words:" if failure.last_lines else " and said nothing"
    return TrainingError(
        f"{who} ended with exit code {failure.code}{said}",
        problems=[Problem(line) for line in failure.last_lines],
        hint=hint,
    )


def _killed(failure: Failure, who: str, hint: str) -> TrainingError:
    number = -failure.code
    words = f"{who} (process {failure.pid}) was killed by {_signal(number)}"
    if number in _BY_MEMORY:
        hint = f"the system kills with SIGKILL what takes too much memory: align train … --dry-run estimates it; {hint}"
        return TrainingError(words, hint=hint)
    return TrainingError(words, problems=[Problem(line) for line in failure.last_lines], hint=hint)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
