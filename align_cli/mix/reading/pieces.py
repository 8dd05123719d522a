"""One span of one file, read, inspected and written to a spool of its own: the unit that workers share out."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.errors import DataError
from align_cli.mix.clean.inspect import Inspector
from align_cli.mix.clean.plan import Plan
from align_cli.mix.reading import mapped
from align_cli.mix.spools import spool

if TYPE_CHECKING:
    import numpy as np

    from align_cli.mix.order.orders import Rows

#: Bad rows of a piece whose reasons are kept; the others are only counted.
MAX_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """What a worker is told. Plain values only: it may be sent to another process or machine."""

    span: mapped.Span
    job: mapped.Job
    plan: Plan | None
    target: Path
    """The spool file to write."""
    send: bool
    """Send the spool's bytes back, because the parent may not see the worker's disk."""


@dataclass(kw_only=True, slots=True)
class Result:
    """What a worker found. Rows are those of the spool, records everything that was read, both from 0."""

    spool: spool.SpoolFile | None = None
    content: bytes | None = None
    """The spool's bytes, when they were asked for."""
    num_records: int = 0
    num_lines: int = 0
    record: Any = None
    """(rows,) int64: the record that each row was."""
    place: Any = None
    """(rows,) int64: its line or row number in the span."""
    step: Any = None
    """(rows,) uint8: the step of cleaning that leaves it out; 0 keeps it."""
    why: dict[int, str] = field(default_factory=dict)
    hashes: Any = None
    """(rows, 2) uint64, or None."""
    signatures: Any = None
    """(rows, permutations) uint32, or None."""
    bad: Any = None
    """(bad rows,) int64: their records."""
    shown: list[mapped.Bad] = field(default_factory=list)
    left_out: dict[str, Any] = field(default_factory=dict)
    """Reason -> (rows,) int64: records that were left out without being bad."""
    repaired: Counter[str] = field(default_factory=Counter)
    error: DataError | None = None
    """Why the file as a whole cannot be read; nothing else is set then."""


def read(piece: Piece) -> Result:
    """Read a span into its spool. What is wrong with the file as a whole is returned, so that all files are tried."""
    try:
        if not piece.send:
            return _read(piece, piece.target)
        with tempfile.TemporaryDirectory(prefix="align-") as folder:
            result = _read(piece, Path(folder) / piece.target.name)
            assert result.spool is not None
            result.content = result.spool.path.read_bytes()
            return result
    except DataError as error:
        return Result(error=error)


def _read(piece: Piece, target: Path) -> Result:
    import numpy as np

    result = Result()
    inspector = Inspector(piece.plan) if piece.plan else None
    records: list[Rows] = []
    places: list[Rows] = []
    steps: list[np.ndarray[Any, Any]] = []
    hashes, signatures, bad = [], [], []
    left_out: dict[str, list[int]] = {}
    num_rows = 0
    writer = spool.SpoolWriter(target, piece.job.shape)
    for block in mapped.read(piece.span, piece.job):
        if block.batch.num_rows:
            writer.append(block.batch)
            records.append(block.index)
            places.append(block.place)
            if inspector is None:
                steps.append(np.zeros(block.batch.num_rows, np.uint8))
            else:
                verdicts = inspector.inspect(block.batch)
                steps.append(verdicts.step)
                result.why.update({num_rows + row: why for row, why in verdicts.why.items()})
                if verdicts.hashes is not None:
                    hashes.append(verdicts.hashes)
                if verdicts.signatures is not None:
                    signatures.append(verdicts.signatures)
        num_rows += block.batch.num_rows
        bad += [one.index for one in block.bad]
        result.shown += block.bad[: MAX_SHOWN - len(result.shown)]
        for reason, indices in block.left_out.items():
            left_out.setdefault(reason, []).extend(indices)
        result.repaired.update(block.repaired)
        result.num_records += block.num_records
        result.num_lines += block.num_lines
    result.spool = writer.close()
    result.record = np.concatenate([*records, np.empty(0, np.int64)])
    result.place = np.concatenate([*places, np.empty(0, np.int64)])
    result.step = np.concatenate([*steps, np.empty(0, np.uint8)])
    result.hashes = np.concatenate(hashes) if hashes else None
    result.signatures = np.concatenate(signatures) if signatures else None
    result.bad = np.array(bad, np.int64)
    result.left_out = {reason: np.array(indices, np.int64) for reason, indices in left_out.items()}
    return result
