"""Rows on disk: written once in the order they are read, then once more in their final order, with flat memory.

A spool is one source's usable rows as Arrow streams; `shuffle` brings them into their final order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.mix.layout.columns import COLUMNS, OPTIONAL
from align_cli.mix.spools import shuffle
from align_cli.mix.spools.arrow_rows import arrays, schema
from align_cli.mix.spools.content import ContentDigest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from align_cli.mix.order.arithmetic import Order, Rows

__all__ = ["Spool", "SpoolFile", "SpoolWriter", "arrays", "schema", "write_ordered"]

_BATCH_ROWS = 1000  # in the finished streams: small enough to be read one by one


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A stretch of one source's usable rows, in reading order."""

    path: Path
    shape: str
    num_rows: int
    has: frozenset[str]
    """Optional columns with a value in some row."""
    has_extra: bool
    """Whether some turn has further keys."""
    batches: tuple[tuple[int, int], ...] = ()
    """(rows, bytes) of each batch in the file."""

    def read(self) -> Iterator[pa.RecordBatch]:
        """The rows, a batch at a time."""
        import pyarrow as pa

        with pa.OSFile(str(self.path)) as source:
            yield from pa.ipc.open_stream(source)


class SpoolWriter:
    """Writes a SpoolFile."""

    def __init__(self, path: Path, shape: str) -> None:
        import pyarrow as pa

        self._path, self._shape = path, shape
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._sink, schema(shape))
        self._batches: list[tuple[int, int]] = []
        self._has: set[str] = set()
        self._has_extra = False

    def append(self, batch: pa.RecordBatch) -> None:
        """Write rows of the shape's schema."""
        for name, form in COLUMNS[self._shape]:
            column = batch.column(name)
            if name in OPTIONAL:
                if column.null_count < len(column):
                    self._has.add(name)
            elif form == "turns" and not self._has_extra:
                extra = column.flatten().field("extra")
                self._has_extra = extra.null_count < len(extra)
        self._writer.write_batch(batch)
        self._batches.append((batch.num_rows, batch.nbytes))

    def close(self) -> SpoolFile:
        """Finish the file."""
        self._writer.close()
        self._sink.close()
        num_rows = sum(rows for rows, _ in self._batches)
        return SpoolFile(self._path, self._shape, num_rows, frozenset(self._has), self._has_extra, tuple(self._batches))


class Spool:
    """All usable rows of one source, in reading order."""

    def __init__(self, files: Sequence[SpoolFile]) -> None:
        self.files = tuple(files)
        self.num_rows = sum(file.num_rows for file in self.files)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, a batch at a time."""
        for file in self.files:
            yield from file.read()

    def sizes(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(rows,) The bytes of each row, as the mean of its batch."""
        import numpy as np

        batches = [batch for file in self.files for batch in file.batches]
        means: Any = np.array([size / max(1, rows) for rows, size in batches], np.float32)
        return np.repeat(means, [rows for rows, _ in batches])


def write_ordered(
    spools: Sequence[Spool],
    order: Order,
    path: Path,
    *,
    shape: str,
    work: Path,
    places: Sequence[Rows],
    labels: Mapping[str, pa.Array] | None = None,
) -> str:
    """Write the rows that `order` names, in that order, as an Arrow stream; gives the sha256 of its content.

    Columns: those of the shape, without what no spool fills; `source` (int16) and `place` (int64, from `places`: one
    array for each spool, spool row -> place); then `labels`, which are in the final order already. An order may name a
    row several times. `work` is a folder for scratch files. Memory: a few buckets, and a few bytes a row for the order.

    Raises:
        OSError: the disk is full, or a spool cannot be read.
    """
    import numpy as np
    import pyarrow as pa

    labels = labels or {}
    filled = {name for spool in spools for file in spool.files for name in file.has}
    inner = schema(
        shape,
        extra=any(file.has_extra for spool in spools for file in spool.files),
        without=[name for name in OPTIONAL if name not in filled],
    )
    fields = [("source", pa.int16()), ("place", pa.int64()), *((name, array.type) for name, array in labels.items())]
    target = pa.schema([*inner, *(pa.field(name, kind) for name, kind in fields)])
    start = 0
    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_stream(sink, target) as writer,
        ContentDigest(target) as digest,
    ):
        for batch in shuffle.ahead(shuffle.stretches(spools, order, inner, work)):
            stretch = slice(start, start + batch.num_rows)
            source, row = order.source[stretch], order.row[stretch]
            place: Any = np.empty(batch.num_rows, np.int64)
            for number in np.unique(source).tolist():
                mine = source == number
                place[mine] = places[number][row[mine]]
            columns = [*batch.columns, pa.array(source.astype(np.int16)), pa.array(place)]
            columns += [array.slice(start, batch.num_rows) for array in labels.values()]
            batch = pa.RecordBatch.from_arrays(columns, schema=target)
            digest.add(batch)
            for first in range(0, batch.num_rows, _BATCH_ROWS):
                writer.write_batch(batch.slice(first, _BATCH_ROWS))
            start += batch.num_rows
        return digest.hexdigest()
