"""Ports and addresses of this machine: whether a port is free, one that is, and whether an address leads here."""

from __future__ import annotations

import contextlib
import select
import socket

from align_cli.errors import LaunchError

_KNOCK = 3.0  # seconds for a connection to ourselves


def free(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def demand_free(port: int, *, host: str = "", machines: int = 1) -> None:
    """Raise when somebody listens on `port` of this machine, before anything is started.

    Of several `machines` the first listens on the next port as well: the workers' own.

    Raises:
        LaunchError: it is in use.
    """
    for number in (port, port + 1) if machines > 1 else (port,):
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that only lingers counts as free
            try:
                probe.bind((host, number))
            except OSError as cause:
                why = cause.strerror or cause
                raise LaunchError(f"port {number} is in use on this machine: {why}", hint=_other(machines)) from cause


def _other(machines: int) -> str:
    hint = "choose another one: launch.main_process_port (it and the next are used)"
    if machines > 1:
        hint += "; if machine 0 is another one, give this one its launch.machine_rank"
    return hint


def demand_own(address: str, port: int) -> None:
    """Raise when `address`, where the other machines will look for this one, does not lead to this one.

    An address that none of our interfaces has may still be forwarded here: a connection to it tells. `port` is free.

    Raises:
        LaunchError: the name is not known, or leads elsewhere.
    """
    import psutil

    hint = (
        "launch.main_process_ip: an address of machine 0 that the others reach (align launch env lists those of this "
        "machine); if machine 0 is another one, give this one its launch.machine_rank"
    )
    try:
        found = {str(item[4][0]) for item in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)}
    except (socket.gaierror, UnicodeError) as cause:
        why = getattr(cause, "strerror", None) or cause
        raise LaunchError(
            f"the name {address} of machine 0, which is this one, is not known: {why}", hint=hint
        ) from None
    own = {item.address for addresses in psutil.net_if_addrs().values() for item in addresses}
    if found & own or any(text.startswith("127.") for text in found) or _leads_here(address, port):
        return
    raise LaunchError(f"this is machine 0, and {address} does not lead to it", hint=hint)


def _leads_here(address: str, port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_server(("", port)) as server,
        socket.create_connection((address, port), timeout=_KNOCK),
    ):
        return bool(select.select([server], [], [], _KNOCK)[0])
    return False
