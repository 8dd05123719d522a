"""How many cores this process may use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def usable() -> int:
    """The cores that this process is bound to, or fewer where a container's quota (cgroup v2) says so."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no such file, or the quota is "max"
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = max(1, min(count, round(int(quota) / int(period))))
    return count
