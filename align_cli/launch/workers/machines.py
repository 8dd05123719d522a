"""The other machines of a run: found before anything is started, and heard while it goes.

Machine 0 listens, the others come to it. Each says who it is and what it would train; only when all agree do workers
start. The connection stays: a failure or a request to stop on one machine reaches the others at once, and a machine
that is gone is noticed because its connection closes or falls silent. Messages are JSON objects, one a line.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from align_cli.errors import LaunchError
from align_cli.launch.workers import ports
from align_cli.launch.workers.peer import ALIVE_EVERY, Peer

_SILENT_FOR = 60.0  # seconds without one until a machine counts as gone
_ANSWERS_WITHIN = 10.0  # seconds that machine 0 may take to say that it is one
_KNOCK_EVERY = 0.5  # seconds between two tries to reach machine 0
_MOST_KEYS = 5  # of a recipe that are named where machines differ

#: What all machines must agree on: key of a hello -> how a sentence calls it.
_MUST_AGREE = {
    "recipe": "the recipe (with its overrides)",
    "data": "the prepared data",
    "model": "the model",
    "machines": "launch.num_machines",
    "processes": "the number of processes a machine",
    "align": "the version of align",
    "torch": "the version of torch",
}


class Machines:
    """The machines of one run as one of them sees them; on machine 0 all others, elsewhere machine 0."""

    def __init__(self, rank: int, peers: list[Peer], local_address: str) -> None:
        self.rank, self.peers, self.local_address = rank, peers, local_address
        self._news: list[tuple[str, Any]] = []

    @property
    def interface(self) -> str:
        """The network interface that leads to the others."""
        import psutil

        for name, addresses in psutil.net_if_addrs().items():
            if any(address.address == self.local_address for address in addresses):
                return str(name)
        return ""

    def tell(self, kind: str, value: Any = None) -> None:
        """Pass news on to all others; machine 0 passes on what it is told."""
        for peer in self.peers:
            peer.send(kind, value)

    def heard(self) -> tuple[str, Any] | None:
        """The next news, or None. A machine that is gone is news: `("lost", words)`."""
        self._listen()
        return self._news.pop(0) if self._news else None

    def wait_for(self, kind: str, *, seconds: float, doing: str) -> list[Any]:
        """What each of the others says next under `kind`.

        Raises:
            LaunchError: one of them is gone, has failed, or has said nothing by then.
        """
        until = time.monotonic() + seconds
        found: list[Any] = []
        while len(found) < len(self.peers):
            if time.monotonic() > until:
                raise LaunchError(f"waited {seconds:.0f} s while {doing}, and heard nothing", hint=_LOOK_THERE)
            news = self.heard()
            if news is None:
                select.select([peer.socket for peer in self.peers if not peer.closed], [], [], 0.2)
            elif news[0] == kind:
                found.append(news[1])
            elif news[0] in ("lost", "refused", "gave up"):
                raise _as_error(news[1])
        return found

    def meet(self, attempt: int, *, port: int, seconds: float) -> int:
        """Start together: every machine comes here before its workers start; the value is the port of their store."""
        if self.rank == 0:
            self.wait_for("ready", seconds=seconds, doing=f"the others got ready for attempt {attempt + 1}")
            self.tell("go", port)
            return port
        self.tell("ready", attempt)
        return int(self.wait_for("go", seconds=seconds, doing="machine 0 got ready")[0])

    def close(self, *, orderly: bool) -> None:
        """Leave; an orderly end is no loss to the others."""
        for peer in self.peers:
            if orderly:
                peer.send("done")
            with contextlib.suppress(OSError):
                peer.socket.close()

    def _listen(self) -> None:
        now = time.monotonic()
        for peer in self.peers:
            for kind, value in peer.read():
                if kind == "done":
                    peer.done = True
                elif kind != "alive":
                    self._news.append((kind, value))
                    if self.rank == 0 and kind in ("failed", "stop"):
                        for other in self.peers:
                            if other is not peer:
                                other.send(kind, value)
            if now - peer.told_at > ALIVE_EVERY and not peer.closed:
                peer.send("alive")
            if peer.done:
                continue
            if peer.closed:
                self._lose(peer, f"{peer.name} is gone: its connection closed")
            elif now - peer.heard_at > _SILENT_FOR:
                self._lose(peer, f"{peer.name} has been silent for {_SILENT_FOR:.0f} s")

    def _lose(self, peer: Peer, words: str) -> None:
        peer.done = True
        self._news.append(("lost", words))
        if self.rank == 0:
            for other in self.peers:
                if other is not peer:
                    other.send("gave up", words)


_LOOK_THERE = "look at what align says on the other machines; align launch env tells whether they can be reached"


#: For machines that would not train the same.
_THE_SAME = "run the same command, with the same versions and the same data, on each"


def _as_error(value: Any) -> LaunchError:
    """What another machine said when it refused or gave up."""
    if isinstance(value, dict):
        return LaunchError(str(value.get("why")), hint=str(value.get("hint") or _LOOK_THERE))
    return LaunchError(str(value), hint=_LOOK_THERE)


def gather(
    hello: Mapping[str, Any], *, port: int, machines: int, seconds: float, say: Callable[[str], None]
) -> Machines:
    """On machine 0: wait for the others, and start only if all of them would train the same.

    `hello` is what this machine says of itself, under the keys of `_MUST_AGREE`, with `host` and `machine`, and under
    `keys` each key of the recipe with a digest of its value and its value in short.

    Raises:
        LaunchError: the port is in use, a machine did not come, came twice, or differs.
    """
    ports.demand_free(port, machines=machines)
    server = socket.create_server(("", port), backlog=machines)
    peers: dict[int, Peer] = {}
    waiting: list[Peer] = []
    until = time.monotonic() + seconds
    say(f"waiting for {machines - 1} more machine{'s' if machines > 2 else ''} on port {port}, up to {seconds:.0f} s")
    try:
        while len(peers) < machines - 1:
            left = until - time.monotonic()
            if left <= 0:
                raise _nobody(machines, set(peers), port, seconds)
            pause = min(left, 1.0, ALIVE_EVERY)
            ready, _, _ = select.select([server, *(peer.socket for peer in waiting)], [], [], pause)
            for peer in peers.values():
                if time.monotonic() - peer.told_at > ALIVE_EVERY:
                    peer.send("alive")  # the last machine may be minutes away
            if server in ready:
                connection, address = server.accept()
                waiting.append(Peer(connection, str(address[0])))
            for peer in list(waiting):
                for kind, value in peer.read():
                    if kind == "hello":
                        waiting.remove(peer)
                        _welcome(peer, value, hello, peers, machines)
                        say(f"machine {peer.machine} is here: {peer.name}")
                if peer.closed and peer in waiting:
                    waiting.remove(peer)  # somebody looked whether the port is open
    except BaseException as cause:
        for peer in (*peers.values(), *waiting):
            hint = getattr(cause, "hint", "")
            peer.send("refused", {"why": str(cause) or "machine 0 gave up", "hint": hint})
        raise
    finally:
        server.close()
    for peer in peers.values():
        peer.send("welcome", {"host": hello["host"]})
    local = next(iter(peers.values())).socket.getsockname()[0]
    return Machines(0, [peers[number] for number in sorted(peers)], local)


def _welcome(
    peer: Peer, value: Mapping[str, Any], hello: Mapping[str, Any], peers: dict[int, Peer], machines: int
) -> None:
    """Take a machine in.

    Raises:
        LaunchError: it has a number that cannot be, or would train something else.
    """
    number = int(value["machine"])
    peer.machine, peer.name = number, f"machine {number} ({value['host']})"
    if not 0 < number < machines or number in peers:
        taken = "twice" if number in peers or number == 0 else f"and there are {machines}"
        hint = f"give each machine its own launch.machine_rank, 0 to {machines - 1}"
        peer.send("refused", {"why": f"there is a machine {number} {taken}", "hint": hint})
        raise LaunchError(f"{value['host']} came as machine {number}, {taken}", hint=hint)
    different = [words for key, words in _MUST_AGREE.items() if value.get(key) != hello.get(key)]
    if different:
        why = f"{peer.name} and machine 0 ({hello['host']}) differ in {', '.join(different)}"
        if value.get("recipe") != hello.get("recipe") and (keys := _keys_that_differ(value, hello, number)):
            why += f": {keys}"
        peer.send("refused", {"why": why, "hint": _THE_SAME})
        raise LaunchError(why, hint=_THE_SAME)
    peers[number] = peer
    peer.send("here")


def _keys_that_differ(value: Mapping[str, Any], hello: Mapping[str, Any], number: int) -> str:
    """The first keys of the recipe that are not the same, with both values."""
    there, here = value.get("keys") or {}, hello.get("keys") or {}
    different = [key for key in sorted({*there, *here}) if list(there.get(key, ())) != list(here.get(key, ()))]
    said = [
        f"{key} is {there.get(key, ('', 'not set'))[1]} on machine {number} and "
        f"{here.get(key, ('', 'not set'))[1]} on machine 0"
        for key in different[:_MOST_KEYS]
    ]
    more = [f"{len(different) - _MOST_KEYS} more"] if len(different) > _MOST_KEYS else []
    return "; ".join([*said, *more])


def _nobody(machines: int, here: set[int], port: int, seconds: float) -> LaunchError:
    missing = ", ".join(str(number) for number in range(1, machines) if number not in here)
    plural = "s" if missing.count(",") else ""
    return LaunchError(
        f"machine{plural} {missing} of {machines} did not come within {seconds:.0f} s",
        hint=f"start align train on each with its launch.machine_rank, and see that port {port} of this machine can be "
        "reached from there; launch.rendezvous_timeout waits longer",
    )


def join(hello: Mapping[str, Any], *, address: str, port: int, seconds: float, say: Callable[[str], None]) -> Machines:
    """On every other machine: come to machine 0.

    Raises:
        LaunchError: it cannot be reached, or refuses.
    """
    until = time.monotonic() + seconds
    say(f"looking for machine 0 at {address}:{port}, up to {seconds:.0f} s")
    patience = time.monotonic() + _ANSWERS_WITHIN
    while True:
        found = Machines(int(hello["machine"]), [_reach(address, port, until, seconds)], "")
        peer = found.peers[0]
        try:
            found.local_address = str(peer.socket.getsockname()[0])
            peer.send("hello", dict(hello))
            found.wait_for("here", seconds=_ANSWERS_WITHIN, doing="machine 0 answered")
            found.wait_for("welcome", seconds=max(until - time.monotonic(), 1.0), doing="the other machines came")
        except LaunchError as cause:
            found.close(orderly=False)
            if peer.spoke:
                raise
            if time.monotonic() > min(patience, until):
                raise LaunchError(
                    f"something else than machine 0 answers at {address}:{port}",
                    hint="give all machines the same free launch.main_process_port, and the address of machine 0",
                ) from cause
            select.select([], [], [], _KNOCK_EVERY)  # it may only have looked whether the port is free
        else:
            return found


def _reach(address: str, port: int, until: float, seconds: float) -> Peer:
    while True:
        try:
            connection = socket.create_connection((address, port), timeout=min(5.0, max(until - time.monotonic(), 0.1)))
        except socket.gaierror as cause:
            raise LaunchError(
                f"the name {address} of machine 0 is not known here: {cause.strerror}",
                hint="launch.main_process_ip: its address, as this machine reaches it",
            ) from cause
        except OSError as cause:
            if time.monotonic() > until:
                raise LaunchError(
                    f"machine 0 could not be reached at {address}:{port} within {seconds:.0f} s: "
                    f"{cause.strerror or cause}",
                    hint="start align train there with machine_rank 0; see that the port is open and the address right",
                ) from cause
            select.select([], [], [], _KNOCK_EVERY)
        else:
            peer = Peer(connection, f"machine 0 ({address})")
            peer.machine = 0
            return peer
