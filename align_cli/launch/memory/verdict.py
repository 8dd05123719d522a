"""Whether a run fits: its estimate against what the devices of a host have, for the plan and for a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from align_cli.launch.host import Host
from align_cli.launch.memory.estimate import Parts, estimate
from align_cli.launch.memory.shape import Shape
from align_cli.launch.memory.work import Work

#: Share of a device's memory up to which something fits: an estimate may be 15 % off, and others use the device, too.
_SAFE = 0.9
#: What the table lists, from fastest to smallest.
ROWS = (
    ("single", "none"), ("ddp", "none"), ("zero1", "none"), ("zero2", "none"), ("fsdp", "none"), ("zero3", "none"),
    ("zero2", "optimizer"), ("fsdp", "all"), ("zero3", "all"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """One strategy's need against what there is, in bytes; true if it fits with something to spare."""

    strategy: str
    offload: str
    parts: Parts
    available: int
    """Of one device; 0 where not known."""
    host_available: int
    """Of main memory for one process; 0 where not known."""

    @property
    def verdict(self) -> str:
        """`fits`, `is tight` (within a tenth), or `does not fit`; empty where the memory is not known."""
        if not self.available:
            return ""
        need, host = self.parts.total, self.parts.host
        if need > self.available or (self.host_available and host > self.host_available):
            return "does not fit"
        return "fits" if need <= _SAFE * self.available else "is tight"

    def __bool__(self) -> bool:
        return self.verdict in ("fits", "")

    def __str__(self) -> str:
        return f"{self.parts.total / 1e9:.1f} of {self.available / 1e9:.1f} GB"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "strategy": self.strategy,
            "offload": self.offload,
            "bytes": round(self.parts.total),
            "host_bytes": round(self.parts.host),
            "available": self.available,
            "verdict": self.verdict,
            "parts": self.parts.as_dict(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A model and a recipe's work on a host: answers for any strategy."""

    shape: Shape
    work: Work
    host: Host
    machines: int

    def fit(self, strategy: str, offload: str, processes: int) -> Fit:
        """That strategy with so many processes over all machines."""
        local = max(processes // self.machines, 1)
        main = self.host.memory_bytes // local
        if self.work.device == "cpu":
            available = main
        elif self.host.gpus:
            available = min(gpu.memory_bytes for gpu in self.host.gpus)
        else:  # an Apple GPU shares the machine's memory
            available = main
        parts = estimate(self.shape, self.work, strategy, offload, processes)
        return Fit(strategy=strategy, offload=offload, parts=parts, available=available, host_available=main)

    def table(self, processes: int) -> list[Fit]:
        """Every strategy that makes sense for so many processes on such devices."""
        on_gpu = self.work.device == "cuda"
        rows = [(s, o) for s, o in ROWS if (on_gpu or o == "none") and (processes > 1 or o != "none")]
        rows = [(s, o) for s, o in rows if s != "single"] if processes > 1 else [("single", "none"), *rows]
        return [self.fit(strategy, offload, processes) for strategy, offload in rows]

    def with_work(self, **changes: Any) -> Question:
        """The same with other work."""
        return replace(self, work=replace(self.work, **changes))
