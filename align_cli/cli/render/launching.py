"""The tables of `align launch ls` and `align launch env`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from align_cli.cli.render.page import emit, grid, heading, lines, pairs


def presets(rows: Sequence[Mapping[str, Any]]) -> None:
    """Shipped launch blocks by name."""
    table = [(row["name"], row["summary"]) for row in rows]
    emit(sys.stdout, grid(("preset", "what it is"), table, whole=(0,)))


def environment(view: Mapping[str, Any]) -> None:
    """The document of `align launch env --json`, as a page."""
    machine = view["machine"]
    host = machine["host"]
    gpus = [f"{gpu['name']}, {gpu['memory_bytes'] / 2**30:.0f} GiB" for gpu in host["gpus"]]
    gpus += [f"{name} (not usable: this torch is a CPU build)" for name in host["unused_gpus"]]
    gpus += ["Apple GPU (MPS)"] if host["mps"] else []
    memory = f"{host['memory_bytes'] / 2**30:.1f} GiB" if host["memory_bytes"] else "unknown"
    blocks: list[Any] = [Text(machine["hostname"], style="bold").append(f"  {machine['system']}", style="dim")]
    rows = [("cores", str(host["cpus"])), ("memory", memory), ("GPUs", "; ".join(gpus) or "none")]
    blocks += [pairs(rows), heading("Software"), pairs([*machine["versions"].items(), ("NCCL", machine["nccl"])])]
    network = [
        (item["name"], ", ".join(item["addresses"]), f"{item['mbit'] / 1000:g} Gbit/s" if item["mbit"] else "")
        for item in machine["interfaces"]
    ]
    state = "free" if machine["port_is_free"] else "in use"
    blocks += [heading("Network", f"port {machine['port']} and the next: {state}")]
    blocks += [grid(("interface", "addresses", "speed"), network, whole=(0,))]
    if machine["infiniband"]:
        blocks.append(lines([f"InfiniBand or RoCE: {', '.join(machine['infiniband'])}"]))
    if machine["variables"]:
        blocks += [heading("Set by launchers"), pairs(list(machine["variables"].items()))]
    if view["machines"]:
        blocks += [heading("Other machines"), grid(("machine", "", "what that means"), _attempts(view["machines"]))]
    if machine["notes"]:
        blocks += [heading("Notes"), lines(machine["notes"])]
    emit(sys.stdout, *blocks)


def _attempts(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            f"{row['host']}:{row['port']}",
            Text(row["outcome"], style="green" if row["is_there"] else "red"),
            row["detail"],
        )
        for row in rows
    ]
