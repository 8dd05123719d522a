"""The server on its port, from the first request to Ctrl-C."""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import suppress
from typing import Any

from align_cli.errors import UsageError
from align_cli.interrupt import listening

_GRACE_S = 2  # for answers that are being sent
_MOST_CONNECTIONS = 1000
_NEXT_PORTS = 50
_SWITCH_S = 0.0005


def bound(host: str, port: int) -> socket.socket:
    """The port, taken; 0 takes any.

    Raises:
        UsageError: it is taken, or the host is not this machine's; what can be had instead is named.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError):
        raise UsageError(f"--host {host}: there is no such address", hint="127.0.0.1, 0.0.0.0 or a name") from None
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
        made.listen(512)
    except OSError as cause:
        made.close()
        if cause.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} is taken by another program", hint=_free(family, address)) from None
        if cause.errno == errno.EACCES:
            raise UsageError(f"port {port} is the system's own", hint="--port takes one above 1023") from None
        raise UsageError(
            f"--host {host}: {cause.strerror or cause}", hint="is this an address of this machine?"
        ) from None
    return made


def is_near(host: str) -> bool:
    """Whether only this machine can reach it."""
    import ipaddress

    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def serve(app: Any, place: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM; what is being sent is sent to its end."""
    import uvicorn

    config = uvicorn.Config(
        app, log_level="critical", access_log=False, server_header=False, proxy_headers=False, lifespan="off",
        ws="none", http="h11", loop="asyncio", timeout_keep_alive=30, timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=_MOST_CONNECTIONS,
    )  # fmt: skip
    # The thread of the store gives the interpreter away at every statement, and would wait 5 ms for it each time.
    sys.setswitchinterval(_SWITCH_S)
    with listening(_nothing):  # uvicorn hands the signal on when it is through
        uvicorn.Server(config).run(sockets=[place])


def _nothing(line: str) -> None: ...


def _free(family: int, address: Any) -> str:
    """Another port, in words."""
    host, port, *rest = address
    for other in range(port + 1, min(port + _NEXT_PORTS, 65_536)):
        with socket.socket(family, socket.SOCK_STREAM) as attempt, suppress(OSError):
            attempt.bind((host, other, *rest))
            return f"--port {other} is free"
    return "--port 0 takes any that is free"
