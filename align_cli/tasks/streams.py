"""Arrow streams of a run: the mixture's rows come in, the trainer's token sequences go out.

Both are read and written a batch at a time through memory maps, so memory stays flat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.tasks.encoding import IGNORED, Encoded
from align_cli.tasks.packing import Packed
from align_cli.tasks.rendering import Row, rows_of

if TYPE_CHECKING:
    import numpy as np

#: Rows rendered and tokenised at a time, and the characters after which a batch is closed early.
BATCH_ROWS = 1000
BATCH_BYTES = 4 << 20
#: Tokens written to the store at a time.
_WRITE_TOKENS = 1 << 20


class RowBatch(NamedTuple):
    """Consecutive rows of the mixture. `first` is the index of the first, `sources` the source of each."""

    first: int
    rows: list[Row]
    sources: list[int]


def columns_of(path: Path) -> tuple[str, ...]:
    """The columns of an Arrow stream, `source` aside."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return tuple(name for name in reader.schema.names if name != "source")


def is_conversational(path: Path) -> bool:
    """Whether the rows hold turns (`messages`, or prompt and completion as lists of turns)."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return any(
            pa.types.is_list(kind.type) or pa.types.is_large_list(kind.type)
            for kind in reader.schema
            if kind.name in ("messages", "prompt")
        )


def read_rows(path: Path, *, limit: int | None) -> Iterator[RowBatch]:
    """The mixture's rows in order, at most `limit` of them."""
    import pyarrow as pa

    first = 0
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        for arrived in reader:
            size = max(1, min(BATCH_ROWS, int(arrived.num_rows * BATCH_BYTES / max(1, arrived.nbytes))))
            for start in range(0, arrived.num_rows, size):
                batch = arrived.slice(start, size if limit is None else min(size, limit - first))
                if not batch.num_rows:
                    return
                names = [name for name in batch.schema.names if name != "source"]
                columns = {name: _values(batch.column(name)) for name in names}
                sources = batch.column("source").to_pylist() if "source" in batch.schema.names else [0] * batch.num_rows
                yield RowBatch(first, rows_of(columns), sources)
                first += batch.num_rows


def _values(column: Any) -> Sequence[Any]:
    """A column as Python values; lists of structs field by field, several times faster than `to_pylist`."""
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)) or column.null_count:
        return list(column.to_pylist())
    turns = column.flatten()
    fields = {kind.value_type.field(i).name: turns.field(i).to_pylist() for i in range(kind.value_type.num_fields)}
    flat = rows_of(fields)
    bounds = (column.offsets.to_numpy() - column.offsets[0].as_py()).tolist()
    return [flat[start:end] for start, end in pairwise(bounds)]


class TokenWriter:
    """Writes sequences as an Arrow stream with `input_ids`, `labels` and, where rows are packed, `seq_lengths`."""

    def __init__(self, path: Path, *, packed: bool) -> None:
        import pyarrow as pa

        names = ["input_ids", "labels", *(["seq_lengths"] if packed else [])]
        self._schema = pa.schema([(name, pa.list_(pa.int32())) for name in names])
        self._file = pa.OSFile(str(path), "wb")
        self._stream = pa.ipc.new_stream(self._file, self._schema)
        self.num_sequences = 0

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._file.close()

    def write(self, encoded: Encoded, pieces: list[list[int]] | None = None) -> None:
        """Append the rows of `encoded`; `pieces` are the lengths of what was packed into each."""
        import numpy as np
        import pyarrow as pa

        if not len(encoded.lengths):
            return
        offsets = np.concatenate(([0], encoded.lengths.cumsum())).astype(np.int32)
        labels = np.where(encoded.trained, encoded.ids, np.int32(IGNORED))
        columns = [pa.ListArray.from_arrays(offsets, pa.array(values)) for values in (encoded.ids, labels)]
        if pieces is not None:
            columns.append(pa.array(pieces, pa.list_(pa.int32())))
        self._stream.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self.num_sequences += len(encoded.lengths)


class Scratch:
    """All rows' tokens in two plain files, to be read back in another order than they came."""

    def __init__(self, folder: Path) -> None:
        self._paths = (folder / "ids.tmp", folder / "trained.tmp")
        self._files = tuple(path.open("wb") for path in self._paths)
        self._lengths: list[np.ndarray] = []

    def add(self, encoded: Encoded) -> None:
        """Append rows."""
        self._files[0].write(encoded.ids.data)
        self._files[1].write(encoded.trained.data)
        self._lengths.append(encoded.lengths)

    def lengths(self) -> np.ndarray:
        """Tokens per row: (rows,) int64."""
        import numpy as np

        every: np.ndarray = np.concatenate([*self._lengths, np.zeros(0, np.int64)])
        return every

    def write(self, packed: Packed, writer: TokenWriter, order: np.ndarray | None = None) -> None:
        """Write sequences of `packed`, in `order` (indices of sequences) or as they are, then delete the files."""
        import numpy as np

        for file in self._files:
            file.close()
        if packed.lengths.sum():
            ids: np.ndarray = np.memmap(self._paths[0], np.int32, "r")
            trained: np.ndarray = np.memmap(self._paths[1], bool, "r")
            for batch in _batches(packed, np.arange(len(packed)) if order is None else order):
                self._write_batch(packed, batch, ids, trained, writer)
        for path in self._paths:
            path.unlink()

    def _write_batch(
        self, packed: Packed, batch: list[int], ids: np.ndarray, trained: np.ndarray, writer: TokenWriter
    ) -> None:
        import numpy as np

        ranges = [range(packed.bounds[s], packed.bounds[s + 1]) for s in batch]
        pieces = [packed.lengths[r.start : r.stop].tolist() for r in ranges]
        slices = [slice(packed.starts[p], packed.starts[p] + packed.lengths[p]) for r in ranges for p in r]
        encoded = Encoded(
            np.concatenate([ids[part] for part in slices]),
            np.concatenate([trained[part] for part in slices]),
            np.array([sum(lengths) for lengths in pieces], np.int64),
        )
        writer.write(encoded, pieces if packed.separate else None)


def _batches(packed: Packed, order: np.ndarray) -> Iterator[list[int]]:
    import numpy as np

    totals = np.concatenate(([0], packed.lengths.cumsum()))
    sizes = totals[packed.bounds[1:]] - totals[packed.bounds[:-1]]
    batch: list[int] = []
    tokens = 0
    for sequence in order.tolist():
        batch.append(sequence)
        tokens += int(sizes[sequence])
        if tokens >= _WRITE_TOKENS:
            yield batch
            batch, tokens = [], 0
    if batch:
        yield batch
