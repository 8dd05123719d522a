"""Whether other machines can be reached from here: one bounded attempt each, all at once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from align_cli.errors import UsageError
from align_cli.recipe.checks_launch import endpoint

Outcome = Literal["reachable", "refused", "no answer", "name unknown", "no way"]

_WORDS: dict[Outcome, str] = {
    "reachable": "something listens on the port",
    "refused": "the machine answers, and nothing listens on the port yet",
    "no answer": "nothing came back: a firewall, another network, or the machine is down",
    "name unknown": "no machine of this name is known here",
    "no way": "the network knows no way there",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One attempt to reach `host:port` by TCP."""

    host: str
    port: int
    outcome: Outcome
    detail: str
    seconds: float

    @property
    def is_there(self) -> bool:
        """Whether the machine answered: before a run starts nothing listens, and a refusal is as good as a yes."""
        return self.outcome in ("reachable", "refused")

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"is_there": self.is_there}


def targets(text: str, port: int) -> list[tuple[str, int]]:
    """`HOST[:PORT],…`; `port` where none is said.

    Raises:
        UsageError: an entry is no host, or a port is none.
    """
    found = []
    for entry in (part.strip() for part in text.split(",")):
        given = endpoint(entry)
        host, number = (given.host, given.port) if given else (entry.strip("[]"), port)
        if not host or (not given and ":" in entry and not entry.startswith("[") and entry.count(":") == 1):
            raise UsageError(f'--machines: expected HOST[:PORT],…, not "{text}"')
        if not 1 <= number <= 65535:
            raise UsageError(f"--machines: {number} is no port, expected 1 to 65535")
        found.append((host, number))
    return found


def attempts(machines: Sequence[tuple[str, int]], timeout_s: float = 5.0) -> list[Attempt]:
    """One attempt for each machine, in their order; together they take `timeout_s` at most."""
    results: dict[int, Attempt] = {}

    def work(index: int, host: str, port: int) -> None:
        results[index] = _attempt(host, port, timeout_s)

    threads = [
        threading.Thread(target=work, args=(index, host, port), daemon=True)  # resolving a name cannot be interrupted
        for index, (host, port) in enumerate(machines)
    ]
    deadline = time.monotonic() + timeout_s + 0.5
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    late = [_made(host, port, "no answer", timeout_s) for host, port in machines]
    return [results.get(index, otherwise) for index, otherwise in enumerate(late)]


def _attempt(host: str, port: int, timeout_s: float) -> Attempt:
    start = time.monotonic()
    outcome: Outcome = "reachable"
    detail = ""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except (socket.gaierror, UnicodeError):
        outcome = "name unknown"
    except ConnectionRefusedError:
        outcome = "refused"
    except TimeoutError:
        outcome = "no answer"
    except OSError as error:
        outcome, detail = "no way", error.strerror or str(error)
    return _made(host, port, outcome, time.monotonic() - start, detail)


def _made(host: str, port: int, outcome: Outcome, seconds: float, detail: str = "") -> Attempt:
    said = f"{_WORDS[outcome]} ({detail})" if detail else _WORDS[outcome]
    return Attempt(host=host, port=port, outcome=outcome, detail=said, seconds=round(seconds, 3))
