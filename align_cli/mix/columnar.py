"""Rows of Parquet and Arrow files: (number from 1, row), a little at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from align_cli.mix.formats import File
from align_cli.mix.opening import seekable, spoilt

_ROWS = 500  # turned into Python values at a time


def parquet(file: File) -> Iterator[tuple[int, Any]]:
    """Rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with seekable(file) as path:
        try:
            with pq.ParquetFile(path) as table:
                yield from _batches(table.iter_batches(batch_size=_ROWS))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise spoilt(
                file, f"not a readable Parquet file: {_first_line(error)}", "write or download it again"
            ) from None


def arrow(file: File) -> Iterator[tuple[int, Any]]:
    """Rows of an Arrow file or stream."""
    import pyarrow as pa

    with seekable(file) as path, pa.OSFile(str(path)) as source:
        try:
            if source.read(6) == b"ARROW1":
                reader = pa.ipc.open_file(source)
                yield from _batches(reader.get_batch(index) for index in range(reader.num_record_batches))
            else:
                source.seek(0)
                yield from _batches(pa.ipc.open_stream(source))
        except (pa.ArrowInvalid, OSError) as error:
            raise spoilt(
                file, f"not a readable Arrow file: {_first_line(error)}", "write or download it again"
            ) from None


def _batches(batches: Any) -> Iterator[tuple[int, Any]]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS):
            for row in batch.slice(start, _ROWS).to_pylist():
                number += 1
                yield number, row


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
