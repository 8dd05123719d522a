"""Rows on disk: written once in the order they are read, then once more in their final order, with flat memory.

A spool is an Arrow stream of one source's rows. Bringing rows into their final order is an external shuffle: a pass
that deals rows out to buckets, each a stretch of the final order that fits into memory, then a pass that orders each
bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.mix.arithmetic import Order

if TYPE_CHECKING:
    import pyarrow as pa

#: What each shape's rows have, in the order of the tuples that `rows` makes. `turns`: a list of turns; else text.
COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "messages": (("messages", "turns"), ("tools", "text"), ("chat_template_kwargs", "text")),
    "pair_turns": (("prompt", "turns"), ("completion", "turns"), ("tools", "text"), ("chat_template_kwargs", "text")),
    "pair_text": (("prompt", "text"), ("completion", "text")),
    "text": (("text", "text"),),
}
#: Columns that are left out when no row has a value.
_OPTIONAL = ("tools", "chat_template_kwargs")

_BATCH_ROWS = 1000
_BATCH_CHARACTERS = 8_000_000
_BUCKET_BYTES = 64 << 20


class Spool:
    """One source's usable rows, in reading order."""

    def __init__(self, path: Path, shape: str) -> None:
        import pyarrow as pa

        self.path = path
        self.num_rows = 0
        self.unwritable: list[tuple[Any, str]] = []
        """(tag, reason) of rows that Arrow cannot hold, found when their batch was written."""
        self.has_extra = False
        self.has: set[str] = set()
        """Optional columns with a value in some row."""
        self._shape = shape
        self._schema = pa.schema([(name, _type(form, extra=True)) for name, form in COLUMNS[shape]])
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._sink, self._schema)
        self._rows: list[tuple[Any, ...]] = []
        self._tags: list[Any] = []
        self._characters = 0

    def add(self, row: tuple[Any, ...], tag: Any) -> None:
        """Append a row; `tag` is handed back in `unwritable` should the row be unfit."""
        self._rows.append(row)
        self._tags.append(tag)
        first = row[0]
        if first.__class__ is str:
            self._characters += len(first)
        else:
            for turn in first:
                self._characters += len(turn[1] or "")
        if len(self._rows) >= _BATCH_ROWS or self._characters >= _BATCH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Write what was added so far."""
        if self._rows:
            try:
                batch = self._batch(self._rows)
            except UnicodeEncodeError:
                self._drop_surrogates()
                batch = self._batch(self._rows)
            self._writer.write_batch(batch)
            self.num_rows += batch.num_rows
        self._rows, self._tags, self._characters = [], [], 0

    def close(self) -> None:
        """Write the rest; the spool can then be read."""
        self.flush()
        self._writer.close()
        self._sink.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, a batch at a time."""
        import pyarrow as pa

        with pa.OSFile(str(self.path)) as source:
            yield from pa.ipc.open_stream(source)

    def _batch(self, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
        import pyarrow as pa

        arrays = []
        for (name, form), values in zip(COLUMNS[self._shape], zip(*rows, strict=True), strict=True):
            if form == "turns":
                array = _turns_array(values)
                self.has_extra = self.has_extra or array.values.field("extra").null_count < len(array.values)
            else:
                array = pa.array(values, pa.string())
                if name in _OPTIONAL and array.null_count < len(array):
                    self.has.add(name)
            arrays.append(array)
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _drop_surrogates(self) -> None:
        kept = []
        for row, tag in zip(self._rows, self._tags, strict=True):
            try:
                _encode(row)
                kept.append(row)
            except UnicodeEncodeError as error:
                code = ord(error.object[error.start])
                self.unwritable.append((tag, f"holds half a surrogate pair (\\u{code:04x}), which is no character"))
        self._rows = kept


def write_ordered(
    spools: Sequence[Spool], order: Order, path: Path, *, shape: str, work: Path, first_source: int = 0
) -> None:
    """Write the rows that `order` names, in that order, as an Arrow stream with a column `source`.

    `source` counts from `first_source`. `work` is a folder for scratch files.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    extra = any(spool.has_extra for spool in spools)
    columns = [
        (name, form)
        for name, form in COLUMNS[shape]
        if name not in _OPTIONAL or any(name in spool.has for spool in spools)
    ]
    schema = pa.schema([(name, _type(form, extra=extra)) for name, form in columns] + [("source", pa.int16())])
    total_bytes = sum(spool.path.stat().st_size for spool in spools)
    num_buckets = max(1, -(-total_bytes // _BUCKET_BYTES))
    rows_per_bucket = max(1, -(-len(order.row) // num_buckets))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for table in _buckets(spools, order, rows_per_bucket, work):
            table = table.take(pc.sort_indices(table.column("_place"))).combine_chunks()
            arrays = [_trimmed(table.column(name), form, extra) for name, form in columns]
            arrays.append(pc.cast(pc.add(table.column("_source"), first_source), pa.int16()))
            writer.write_table(pa.table(arrays, schema=schema), max_chunksize=_BATCH_ROWS)


def _buckets(spools: Sequence[Spool], order: Order, rows_per_bucket: int, work: Path) -> Iterator[pa.Table]:
    """The named rows in stretches of the final order, each unordered within, with `_place` and `_source`."""
    import pyarrow as pa

    num_buckets = max(1, -(-len(order.row) // rows_per_bucket))
    if num_buckets == 1:
        pieces = [batch for number, spool in enumerate(spools) for batch in _dealt(spool, number, order)]
        if pieces:
            yield pa.Table.from_batches(pieces)
        return
    paths = [work / f"bucket-{number}.arrow" for number in range(num_buckets)]
    sinks: dict[int, tuple[Any, Any]] = {}
    try:
        for number, spool in enumerate(spools):
            for batch in _dealt(spool, number, order):
                bucket_of = batch.column("_place").to_numpy() // rows_per_bucket
                for bucket in sorted(set(bucket_of.tolist())):
                    if bucket not in sinks:
                        sink = pa.OSFile(str(paths[bucket]), "wb")
                        sinks[bucket] = (sink, pa.ipc.new_stream(sink, batch.schema))
                    sinks[bucket][1].write_batch(batch.filter(pa.array(bucket_of == bucket)))
    finally:
        for sink, writer in sinks.values():
            writer.close()
            sink.close()
    for path in paths:
        if path.exists():
            with pa.OSFile(str(path)) as source:
                yield pa.ipc.open_stream(source).read_all()
            path.unlink()


def _dealt(spool: Spool, number: int, order: Order) -> Iterator[pa.RecordBatch]:
    """The source's rows that are wanted, in reading order, with their places in the final order."""
    import numpy as np
    import pyarrow as pa

    places = np.flatnonzero(order.source == number)
    rows = order.row[places]
    by_row = np.argsort(rows, kind="stable")
    places, rows = places[by_row], rows[by_row]
    start = 0
    for batch in spool.batches():
        low, high = (int(np.searchsorted(rows, edge)) for edge in (start, start + batch.num_rows))
        if low < high:
            taken = batch.take(pa.array(rows[low:high] - start))
            source = pa.array(np.full(high - low, number, np.int16))
            yield taken.append_column("_place", pa.array(places[low:high])).append_column("_source", source)
        start += batch.num_rows


def _type(form: str, *, extra: bool) -> pa.DataType:
    import pyarrow as pa

    if form == "text":
        return pa.string()
    fields = [("role", pa.string()), ("content", pa.string())] + ([("extra", pa.string())] if extra else [])
    return pa.list_(pa.struct(fields))


def _turns_array(values: Sequence[Sequence[tuple[str, str | None, str | None]]]) -> pa.ListArray:
    import numpy as np
    import pyarrow as pa

    offsets: Any = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(turns) for turns in values], out=offsets[1:])
    flat = [turn for turns in values for turn in turns]
    roles, contents, extras = zip(*flat, strict=True)
    struct = pa.StructArray.from_arrays(
        [pa.array(part, pa.string()) for part in (roles, contents, extras)], names=["role", "content", "extra"]
    )
    return pa.ListArray.from_arrays(pa.array(offsets), struct)


def _trimmed(column: pa.ChunkedArray, form: str, extra: bool) -> pa.Array:
    """The column as one array, without the turns' `extra` when no row of the mixture has any."""
    import pyarrow as pa

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks)
    if form == "text" or extra:
        return array
    turns = array.values
    struct = pa.StructArray.from_arrays([turns.field("role"), turns.field("content")], names=["role", "content"])
    return pa.ListArray.from_arrays(array.offsets, struct)


def _encode(value: Any) -> None:
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, (list, tuple)):
        for part in value:
            _encode(part)
