"""How many conversations are answered together: as many as the processor gains from and memory holds."""

from __future__ import annotations

from collections.abc import Sequence

from align_cli.evals.generate.slots import Shape
from align_cli.models import memory

#: Rows from which a processor gains hardly anything any more.
_MOST = {"cpu": 64, "cuda": 256}
#: Of the memory that is free; the rest is for what a forward pass needs, and for others.
_SHARE = {"cpu": 0.5, "cuda": 0.8}


def rows(device: str, shapes: Sequence[Shape], longest: int, wanted: int | None, questions: int) -> int:
    """How many of the questions; `longest` is the most tokens that one may come to, `wanted` is not exceeded."""
    kind = device.split(":")[0]
    most = min(wanted or _MOST.get(kind, 16), questions)
    free = memory.available(device)
    if free is None:
        return most
    each = max(longest, 1) * sum(shape.bytes for shape in shapes)
    return max(1, min(most, int(free * _SHARE.get(kind, 0.5)) // each))
