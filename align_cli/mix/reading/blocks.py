"""What reading gives: rows of our shape with their places, and what became of the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from align_cli.mix.layout.layouts import Fit
from align_cli.recipe.schema import Source

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Job:
    """How the rows of one source become ours. Plain values only: it is sent to workers."""

    fit: Fit
    shape: str
    source: Source
    repair: bool = False
    """Mend turns that have one plain meaning, and count what was mended."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that cannot be trained on. `index` and `place` as in Block."""

    index: int
    place: int
    reason: str
    hint: str = ""


@dataclass(kw_only=True, slots=True)
class Block:
    """The next rows of a span."""

    batch: pa.RecordBatch
    """The usable rows, as `arrow_rows.schema` has them."""
    index: Any
    """(rows,) int64: each row's number among the records of the span, from 0."""
    place: Any
    """(rows,) int64: its line in the span, or its row number there; both from 1."""
    num_records: int
    """Records that were read, usable or not."""
    num_lines: int = 0
    """Lines that were read; 0 for files that have none."""
    bad: list[Bad] = field(default_factory=list)
    left_out: dict[str, list[int]] = field(default_factory=dict)
    """Why rows were left out without being bad -> their indices."""
    repaired: Counter[str] = field(default_factory=Counter)
    """What was mended -> rows."""
