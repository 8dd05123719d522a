"""How many tokens rows have, as a token budget counts them; the tasks know, and hand it down to the mixture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Measure:
    """A way to count tokens."""

    identity: str
    """Digest of the tokenizer, the template and whatever else decides the counts; part of the mixture's address."""
    count: Callable[[pa.RecordBatch], np.ndarray[Any, np.dtype[np.int64]]]
    """Rows of a spool -> (rows,) int64 tokens of each, before truncation."""
