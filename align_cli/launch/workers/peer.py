"""One connection between two machines of a run: JSON objects, one a line, and when something was last heard."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any

ALIVE_EVERY = 5.0  # seconds between two signs of life


class Peer:
    """One connection."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.name = connection, name
        self.heard_at = self.told_at = time.monotonic()
        self.machine = -1
        self.done = False
        self.closed = False
        self.spoke = False
        """Whether it has said anything that one of us would say."""
        self._rest = b""

    def send(self, kind: str, value: Any = None) -> None:
        """Pass a message; one that does not arrive shows when the connection is read."""
        self.told_at = time.monotonic()
        with contextlib.suppress(OSError):
            self.socket.settimeout(ALIVE_EVERY)
            self.socket.sendall(json.dumps({"kind": kind, "value": value}).encode() + b"\n")
        with contextlib.suppress(OSError):
            self.socket.setblocking(False)

    def read(self) -> list[tuple[str, Any]]:
        """Whole messages that have come in; `closed` is set at the end of the connection."""
        while not self.closed:
            try:
                piece = self.socket.recv(1 << 16)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                piece = b""
            self.closed = not piece
            self._rest += piece
        *lines, self._rest = self._rest.split(b"\n")
        if lines:
            self.heard_at = time.monotonic()
        try:
            found = [json.loads(line) for line in lines]
            said = [(str(one["kind"]), one["value"]) for one in found]
        except (ValueError, KeyError, TypeError):  # no align speaks like this
            self.closed = True
            return []
        self.spoke = self.spoke or bool(said)
        return said
