"""What a worker tells the process that started it: one JSON object a line, through a pipe of its own.

The worker's stdout and stderr go into its log: libraries write there what they like.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

#: The variable that names the pipe's file descriptor.
VARIABLE = "ALIGN_EVENTS"


class Teller:
    """The worker's end. Nobody listening any more is no reason to fail.

    It writes without a buffer: a signal handler may speak in the middle of another line's way.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def tell(self, kind: str, value: Any) -> None:
        """Send one event."""
        text = json.dumps({"kind": kind, "value": value}, default=str).encode() + b"\n"
        with contextlib.suppress(OSError):
            while text:
                text = text[os.write(self._descriptor, text) :]


def teller() -> Teller | None:
    """The pipe that this process was given; None for a worker that was started by hand."""
    text = os.environ.pop(VARIABLE, "")
    return Teller(int(text)) if text.isdigit() else None


class Listener:
    """The other end: whole events as they come in."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._rest = b""

    def events(self) -> list[tuple[str, Any]]:
        """(kind, value) of what has come in since; empty for nothing."""
        while True:
            try:
                piece = os.read(self.reader, 1 << 16)
            except BlockingIOError:
                break
            if not piece:
                break
            self._rest += piece
        *lines, self._rest = self._rest.split(b"\n")
        found = []
        for line in lines:
            document = json.loads(line)
            found.append((str(document["kind"]), document["value"]))
        return found

    def started(self) -> None:
        """The worker has its copy: close ours, so that its death shows."""
        os.close(self.writer)

    def close(self) -> None:
        """Stop listening."""
        os.close(self.reader)
