"""What this machine brings to a launch, and what is already said in its environment; torch is not imported."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from align_cli.launch import host as hosts
from align_cli.launch.host import Host

DEFAULT_PORT = 29500

_PACKAGES = ("torch", "transformers", "trl", "accelerate", "deepspeed")

#: Variables of launchers and of what they start; other processes' work may hang on them.
_VARIABLES = (
    "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT",
    "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "GLOO_SOCKET_IFNAME",
    "SLURM_JOB_ID", "SLURM_JOB_NUM_NODES", "SLURM_JOB_NODELIST", "SLURM_NODEID", "SLURM_PROCID", "SLURM_NTASKS",
    "SLURM_RESTART_COUNT", "SKYPILOT_NODE_RANK", "SKYPILOT_NODE_IPS", "SKYPILOT_NUM_NODES",
    "SKYPILOT_NUM_GPUS_PER_NODE",
)  # fmt: skip
_PREFIXES = ("NCCL_", "ACCELERATE_", "TORCHELASTIC_", "FSDP_", "DS_")


@dataclass(frozen=True, kw_only=True, slots=True)
class Interface:
    """One network interface that is up."""

    name: str
    addresses: tuple[str, ...]
    loopback: bool
    mbit: int | None
    """Its speed; None where the system does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """One machine as `align launch env` shows it."""

    hostname: str
    system: str
    host: Host
    versions: Mapping[str, str]
    """Package -> version, `not installed` where there is none."""
    nccl: str
    """The version of NCCL, or why there is none."""
    interfaces: tuple[Interface, ...]
    infiniband: tuple[str, ...]
    """InfiniBand and RoCE adapters."""
    port: int
    port_is_free: bool
    """Whether machine 0 could listen here, on this port and the next."""
    variables: Mapping[str, str]
    """Variables of launchers that are set."""
    notes: tuple[str, ...]
    """What to know before launching here."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"host": self.host.as_dict()}


def inspect(port: int = DEFAULT_PORT) -> Machine:
    """This machine, now."""
    host = hosts.inspect()
    found = variables()
    free = port_is_free(port) and port_is_free(port + 1)
    nccl, has_nccl = _nccl(host)
    return Machine(
        hostname=socket.gethostname(),
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        host=host,
        versions={name: _version(name) for name in _PACKAGES},
        nccl=nccl,
        interfaces=interfaces(),
        infiniband=_infiniband(),
        port=port,
        port_is_free=free,
        variables=found,
        notes=tuple(_notes(host, found, port, free=free, has_nccl=has_nccl)),
    )


def interfaces() -> tuple[Interface, ...]:
    """Interfaces that are up and have an address, loopback last."""
    import psutil

    found = []
    states = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        state = states.get(name)
        texts = [item.address for item in addresses if item.family in (socket.AF_INET, socket.AF_INET6)]
        texts = [text for text in texts if not text.startswith("fe80:")]
        if texts and (state is None or state.isup):
            loopback = all(text == "::1" or text.startswith("127.") for text in texts)
            mbit = state.speed if state is not None and state.speed > 0 else None
            found.append(Interface(name=name, addresses=tuple(texts), loopback=loopback, mbit=mbit))
    return tuple(sorted(found, key=lambda item: (item.loopback, item.name)))


def port_is_free(port: int) -> bool:
    """Whether a process here could listen on a port."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as torch's own store does
            listener.bind(("", port))
            return True
    except (OSError, OverflowError):
        return False


def variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables of launchers in an environment, sorted by name."""
    environment = os.environ if environment is None else environment
    names = [name for name in environment if name in _VARIABLES or name.startswith(_PREFIXES)]
    return {name: environment[name] for name in sorted(names)}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _nccl(host: Host) -> tuple[str, bool]:
    """NCCL comes with torch's CUDA builds, as a package of its own."""
    if not host.torch_cuda:
        return "none: the installed torch is a CPU build", False
    for found in distributions():
        name = (found.metadata["Name"] or "").lower()
        if name.startswith("nvidia-nccl"):
            return found.version, True
    return "inside torch", True


def _infiniband() -> tuple[str, ...]:
    folder = Path("/sys/class/infiniband")
    return tuple(sorted(item.name for item in folder.iterdir())) if folder.is_dir() else ()


def _notes(host: Host, found: Mapping[str, str], port: int, *, free: bool, has_nccl: bool) -> list[str]:
    notes = []
    if not free:
        notes.append(f"port {port} or {port + 1} is in use: launch.main_process_port names another one")
    if "WORLD_SIZE" in found:
        notes.append("WORLD_SIZE is set: this shell is inside another launcher, or was")
    if found.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        notes.append("CUDA_VISIBLE_DEVICES hides every GPU")
    if host.unused_gpus:
        notes.append(f"the installed torch is a CPU build and cannot use {host.unused_gpus[0]}")
    if len(host.gpus) > 1 and not has_nccl:
        notes.append("GPUs cannot work together without NCCL")
    if sys.platform != "linux":
        notes.append("several processes with GPUs need Linux")
    return notes
