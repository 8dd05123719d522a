"""Ports on this machine: whether one is free, and one that is."""

from __future__ import annotations

import contextlib
import socket

from align_cli.errors import LaunchError


def free(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def demand_free(port: int, *, host: str = "") -> None:
    """Raise when somebody listens on `port` of this machine, before anything is started.

    Raises:
        LaunchError: it is in use.
    """
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that only lingers counts as free
        try:
            probe.bind((host, port))
        except OSError as cause:
            raise LaunchError(
                f"port {port} is in use on this machine: {cause.strerror or cause}",
                hint="choose another one: launch.main_process_port (it and the next are used)",
            ) from cause
