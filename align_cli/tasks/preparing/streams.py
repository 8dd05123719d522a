"""Arrow streams of a run: the mixture's rows come in, the trainer's token sequences go out.

Both are read and written a batch at a time, so memory stays flat.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from align_cli.tasks.preparing.encoding import IGNORED, Encoded
from align_cli.tasks.preparing.rendering import Row, rows_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Rows rendered and tokenised at a time, and the bytes after which a batch is closed early: a batch's encodings take
#: some thirty times as much while they are made.
BATCH_ROWS = 1000
BATCH_BYTES = 2 << 20
#: Columns that say where a row comes from, and are no part of it.
ORIGIN = ("source", "place")


class RowBatch(NamedTuple):
    """Consecutive rows of the mixture. `first` is the index of the first."""

    first: int
    rows: list[Row]
    sources: np.ndarray
    """(rows,) int64: position of each row's source in the mixture's report."""
    places: np.ndarray
    """(rows,) int64: its number in the order of reading that source; -1 where the mixture does not say."""


def columns_of(path: Path) -> tuple[str, ...]:
    """The columns of an Arrow stream that hold data."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return tuple(name for name in reader.schema.names if name not in ORIGIN)


def is_conversational(path: Path) -> bool:
    """Whether the rows hold turns (`messages`, or prompt and completion as lists of turns)."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return has_turns(reader.schema)


def has_turns(schema: pa.Schema) -> bool:
    """Whether rows of this schema hold turns."""
    import pyarrow as pa

    return any(pa.types.is_list(field.type) or pa.types.is_large_list(field.type) for field in schema)


def read_rows(path: Path, *, limit: int | None) -> Iterator[RowBatch]:
    """The mixture's rows in order, at most `limit` of them."""
    import pyarrow as pa

    first = 0
    # Not mapped: what is read once from a map stays in this process's memory until others need it.
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        for arrived in reader:
            for batch in pieces(arrived if limit is None else arrived.slice(0, limit - first)):
                yield RowBatch(first, rows_in(batch), _numbers(batch, "source", 0), _numbers(batch, "place", -1))
                first += batch.num_rows
            if first == limit:
                return


def read_chosen(path: Path, rows: Iterable[int]) -> Iterator[tuple[int, RowBatch]]:
    """The rows with these indices, each as a batch of one, in the order of the stream.

    Raises:
        IndexError: the stream has fewer rows.
    """
    import pyarrow as pa

    left = sorted(set(rows), reverse=True)
    first = 0
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        for arrived in reader if left else ():
            while left and left[-1] < first + arrived.num_rows:
                index = left.pop()
                one = arrived.slice(index - first, 1)
                yield index, RowBatch(index, rows_in(one), _numbers(one, "source", 0), _numbers(one, "place", -1))
            first += arrived.num_rows
            if not left:
                return
    if left:
        raise IndexError(f"there is no row {left[-1]}: {path.name} has {first}")


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices small enough to be tokenised at a time."""
    size = max(1, min(BATCH_ROWS, int(batch.num_rows * BATCH_BYTES / max(1, batch.nbytes))))
    for start in range(0, batch.num_rows, size):
        yield batch.slice(start, size)


def rows_in(batch: pa.RecordBatch) -> list[Row]:
    """The rows of a batch as templates take them: a turn's further keys beside its role and content."""
    names = [name for name in batch.schema.names if name not in ORIGIN]
    with _no_collection():
        return rows_of({name: _values(batch.column(name)) for name in names})


@contextmanager
def _no_collection() -> Iterator[None]:
    """Thousands of new objects make Python look for garbage again and again, and there is none among them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _numbers(batch: pa.RecordBatch, name: str, otherwise: int) -> np.ndarray:
    import numpy as np

    if name not in batch.schema.names:
        return np.full(batch.num_rows, otherwise, np.int64)
    numbers: np.ndarray = batch.column(name).to_numpy().astype(np.int64)
    return numbers


def _values(column: Any) -> Sequence[Any]:
    """A column as Python values; lists of structs field by field, several times faster than `to_pylist`."""
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)):
        return list(column.to_pylist())
    turns = column.flatten()
    names = [kind.value_type.field(i).name for i in range(kind.value_type.num_fields)]
    extra = turns.field(names.index("extra")) if "extra" in names else None
    flat = rows_of({name: turns.field(i).to_pylist() for i, name in enumerate(names) if name != "extra"})
    if extra is not None and extra.null_count < len(extra):
        flat = [
            turn if further is None else {**turn, **json.loads(further)}
            for turn, further in zip(flat, extra.to_pylist(), strict=True)
        ]
    sizes = column.value_lengths().fill_null(0).to_numpy()  # a null is no turns
    bounds = [0, *sizes.cumsum().tolist()]
    return [flat[start:end] for start, end in pairwise(bounds)]


class ListWriter:
    """Writes rows of token lists, and of flags, as an Arrow stream."""

    def __init__(self, path: Path, *, lists: Sequence[str], flags: Sequence[str] = ()) -> None:
        import pyarrow as pa

        self._schema = pa.schema(
            [*((name, pa.list_(pa.int32())) for name in lists), *((name, pa.bool_()) for name in flags)]
        )
        self._file = pa.OSFile(str(path), "wb")
        self._stream = pa.ipc.new_stream(self._file, self._schema)
        self.num_rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._file.close()

    def write(self, lists: Sequence[tuple[np.ndarray, np.ndarray]], flags: Sequence[np.ndarray] = ()) -> None:
        """Append rows: of every list column its tokens end to end and its rows' lengths, of every flag its values."""
        import numpy as np
        import pyarrow as pa

        count = len(lists[0][1])
        if not count:
            return
        columns: list[Any] = []
        for values, lengths in lists:
            offsets = np.concatenate(([0], lengths.cumsum())).astype(np.int32)
            columns.append(pa.ListArray.from_arrays(offsets, pa.array(values)))
        columns += [pa.array(values) for values in flags]
        self._stream.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self.num_rows += count


class TokenWriter(ListWriter):
    """Writes sequences as an Arrow stream with `input_ids`, `labels` and, where rows are packed, `seq_lengths`."""

    def __init__(self, path: Path, *, packed: bool) -> None:
        super().__init__(path, lists=("input_ids", "labels", *(("seq_lengths",) if packed else ())))

    def write_encoded(self, encoded: Encoded, pieces: list[list[int]] | None = None) -> None:
        """Append the rows of `encoded`; `pieces` are the lengths of what was packed into each."""
        import numpy as np

        labels = np.where(encoded.trained, encoded.ids, np.int32(IGNORED))
        columns = [(encoded.ids, encoded.lengths), (labels, encoded.lengths)]
        if pieces is not None:
            counts = np.fromiter(map(len, pieces), np.int64, len(pieces))
            columns.append((np.fromiter(chain.from_iterable(pieces), np.int32, int(counts.sum())), counts))
        self.write(columns)
