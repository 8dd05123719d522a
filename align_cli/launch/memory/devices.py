"""A machine by its name: `8xH100-80GB`, `1xRTX4090`, `2x8xH100-80GB` (two machines with eight each)."""

from __future__ import annotations

import difflib
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from align_cli.errors import UsageError
from align_cli.launch.host import Gpu, Host

_FORM = re.compile(r"(?:(?:(\d+)x)?(\d+)x)?([A-Za-z][\w-]*)")
_HINT = "--on 8xH100-80GB, --on 1xRTX4090, or --on 2x8xH100-80GB for two machines"


class Named(NamedTuple):
    """Machines that somebody named."""

    host: Host
    machines: int
    name: str


def named(text: str, here: Host) -> Named:
    """The machines that `text` names. Cores, packages and the kind of torch are taken to be as on `here`.

    Raises:
        UsageError: it has another form, or nobody knows such a device.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or "0" in (match[1], match[2]):
        raise UsageError(f'"{text}" names no machine', hint=_HINT)
    machines, count = int(match[1] or 1), int(match[2] or 1)
    name = _find(match[3])
    device = _table()[name]
    gpu = Gpu(name, device["gib"] << 30, tuple(device["capability"]))
    cpus = max(here.cpus, 8 * count)
    host = Host(
        cpus=cpus,
        memory_bytes=0,
        gpus=(gpu,) * count,
        torch_cuda=here.torch_cuda or "as there",
        packages=here.packages,
    )
    return Named(host, machines, f"{machines}x{count}x{name}" if machines > 1 else f"{count}x{name}")


def names() -> list[str]:
    """The devices there are."""
    return list(_table())


def _find(word: str) -> str:
    """The device of that name; without its memory, where there is only one of that kind."""
    wanted = _plain(word)
    by_plain = {_plain(name): name for name in _table()}
    if wanted in by_plain:
        return by_plain[wanted]
    kinds = [name for name in _table() if _plain(name.partition("-")[0]) == wanted]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise UsageError(f'there are several "{word}"', hint=f"say which: {', '.join(kinds)}")
    near = difflib.get_close_matches(wanted, by_plain, n=3, cutoff=0.5)
    meant = ", ".join(by_plain[one] for one in near)
    known = ", ".join(names())
    raise UsageError(f'no device is called "{word}"', hint=f"did you mean {meant}?" if near else f"known are {known}")


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


@cache
def _table() -> dict[str, Any]:
    text = Path(__file__).with_name("devices.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["devices"])
