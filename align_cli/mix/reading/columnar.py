"""Parquet and Arrow files: record batches of the columns that are asked for, and their rows as Python values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from align_cli.mix.sources.formats import File
from align_cli.mix.sources.opening import seekable, spoilt

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_BYTES = 4 << 20
_BATCH_ROWS = 10_000
_ROWS = 500  # turned into Python values at a time


def rows(file: File) -> Iterator[tuple[int, Any, str]]:
    """(number from 1, row or None, why there is none) of a Parquet or Arrow file."""
    number = 0
    for batch in batches(file):
        for start in range(0, batch.num_rows, _ROWS):
            for row, fault in values(batch.slice(start, _ROWS)):
                number += 1
                yield number, row, fault


def part_sizes(file: File) -> list[int]:
    """Bytes of each row group or record batch, which `batches` can read apart; [] where it cannot.

    Raises:
        DataError: the file is damaged.
    """
    if file.format == "parquet":
        with _parquet(file) as table:
            return [table.metadata.row_group(group).total_byte_size for group in range(table.num_row_groups)]
    with _arrow(file, None) as reader:
        count = getattr(reader, "num_record_batches", 0)  # a stream does not know
    return [file.path.stat().st_size // count] * count if count else []


def batches(
    file: File, start: int = 0, stop: int = -1, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The file's rows in order, a few MB at a time, with those of `columns` that it has; None: all.

    `start` and `stop` count row groups, or record batches; stop -1 is the end.

    Raises:
        DataError: the file is damaged, or names a column twice.
    """
    if file.format == "parquet":
        with _parquet(file) as table:
            if columns is not None:
                columns = [name for name in columns if name in table.schema_arrow.names]
            for group in range(start, table.num_row_groups if stop < 0 else stop):
                facts = table.metadata.row_group(group)
                size = _batch_rows(facts.total_byte_size, facts.num_rows)
                yield from table.iter_batches(size, row_groups=[group], columns=columns, use_threads=False)
        return
    with _arrow(file, columns) as reader:
        if hasattr(reader, "num_record_batches"):
            numbers = range(start, reader.num_record_batches if stop < 0 else stop)
            found: Any = (reader.get_batch(number) for number in numbers)
        else:
            found = reader
        for batch in found:
            size = _batch_rows(batch.nbytes, batch.num_rows)
            for first in range(0, batch.num_rows, size):
                yield batch.slice(first, size)


def values(batch: pa.RecordBatch) -> list[tuple[Any, str]]:
    """(row, "") or (None, why it cannot be read) for each row. Points in time become text, as in JSON."""
    import pyarrow as pa

    columns = [_timeless(column) for column in batch.columns]
    batch = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    try:
        return [(row, "") for row in batch.to_pylist()]
    except (ValueError, OverflowError, pa.ArrowException) as error:
        if batch.num_rows > 1:
            return [found for row in range(batch.num_rows) for found in values(batch.slice(row, 1))]
        wrong = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"not readable: {_first_line(error)}"
        return [(None, wrong)]


def _timeless(column: pa.Array) -> pa.Array:
    """Dates and times as text: Python has no nanoseconds, and no year 10000."""
    import pyarrow as pa

    if not pa.types.is_temporal(column.type):
        return column
    try:
        return column.cast(pa.string())
    except pa.ArrowException:  # an unknown time zone
        return column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())


def _batch_rows(num_bytes: int, num_rows: int) -> int:
    """Rows that make a batch of the usual size."""
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES * num_rows // max(1, num_bytes)))


@contextmanager
def _parquet(file: File) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with _readable(file, "Parquet"), seekable(file) as path, pq.ParquetFile(path) as table:
        _refuse_twins(file, table.schema_arrow.names)
        yield table


@contextmanager
def _arrow(file: File, columns: Sequence[str] | None) -> Iterator[Any]:
    """A reader of a file or a stream, of those of `columns` that it has."""
    import pyarrow as pa

    with _readable(file, "Arrow"), seekable(file) as path, pa.OSFile(str(path)) as source:
        is_file = source.read(6) == b"ARROW1"
        opened = pa.ipc.open_file if is_file else pa.ipc.open_stream
        source.seek(0)
        reader = opened(source)
        names = reader.schema.names
        _refuse_twins(file, names)
        if columns is not None:
            source.seek(0)
            included = [names.index(name) for name in columns if name in names]
            reader = opened(source, options=pa.ipc.IpcReadOptions(included_fields=included))
        yield reader


@contextmanager
def _readable(file: File, kind: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        message = f"not a readable {kind} file: {_first_line(error)}"
        raise spoilt(file, message, "write or download it again") from None


def _refuse_twins(file: File, names: Sequence[str]) -> None:
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise spoilt(file, f'the column "{twice[0]}" is named twice', "rename one of them")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
