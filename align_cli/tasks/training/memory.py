"""The most memory that each process of a run held, for the manifest and for whoever compares it with an estimate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from align_cli.tasks.training import company


def facts(device: Any) -> dict[str, Any]:
    """Peaks of every process, by rank, in bytes; every one of them must ask.

    `peak_memory_bytes`: on a GPU what PyTorch had reserved of it, which decides whether a run fits; elsewhere the
    largest resident set, files that were mapped included. `peak_allocated_bytes`, on a GPU only: what tensors took.
    """
    if device.type != "cuda":
        return {"peak_memory_bytes": company.gathered(resident())}
    import torch

    reserved, allocated = torch.cuda.max_memory_reserved(device), torch.cuda.max_memory_allocated(device)
    pairs = company.gathered((reserved, allocated))
    return {
        "peak_memory_bytes": [pair[0] for pair in pairs],
        "peak_allocated_bytes": [pair[1] for pair in pairs],
    }


def resident() -> int:
    """Largest resident set of this process so far, in bytes.

    Linux is asked for `VmHWM`: `ru_maxrss` begins, in a new process, at what its parent held.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
