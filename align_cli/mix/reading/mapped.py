"""A span of a file becomes blocks of rows in our shape: in bulk where rows are ordinary, else one by one.

Both roads give the same rows, faults and places; which rows go which road, and how they are cut into blocks, does not
show in the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from align_cli.mix.reading import columnar, json_lines, vectors
from align_cli.mix.reading import read as reading
from align_cli.mix.reading.blocks import Bad, Block, Job
from align_cli.mix.reading.json_lines import Lines
from align_cli.mix.reading.json_values import Decoder, value
from align_cli.mix.reading.read import Record
from align_cli.mix.reading.row_by_row import RowByRow
from align_cli.mix.reading.spans import Span, spans
from align_cli.mix.sources import opening
from align_cli.mix.spools import arrow_rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Bad", "Block", "Job", "Span", "read", "spans"]

_FEW_BYTES = 32 << 10  # lines that are no longer tried in bulk when they failed together
_MOST_SKIPPED = 64  # blocks that are read one by one before the bulk road is tried again


def read(span: Span, job: Job) -> Iterator[Block]:
    """The rows of a span, about 1000 rows or some MB at a time.

    Raises:
        DataError: the file as a whole cannot be read, changed since `spans` saw it, or holds no row.
    """
    before = opening.stamp(span.file)
    num_records = 0
    if not _changed(span.stamp, before):
        for block in _blocks(span, job):
            num_records += block.num_records
            yield block
    if _changed(span.stamp or before, opening.stamp(span.file)):
        raise opening.spoilt(span.file, "the file changed while it was read", "run again when nothing writes to it")
    if not num_records and (span.stop < 0 or not any(True for _ in reading.rows(span.file))):
        raise opening.empty(span.file)


def _changed(before: tuple[int, ...] | None, now: tuple[int, ...]) -> bool:
    return before is not None and before != now


def _blocks(span: Span, job: Job) -> Iterator[Block]:
    file = span.file
    if file.format == "jsonl":
        with opening.opened(file) as stream:
            if span.start or not json_lines.is_list(stream):
                way = _JsonLines(span, job)
                for lines in json_lines.blocks(stream, span.start, span.stop):
                    yield way.block(lines)
                return
    elif file.format in ("parquet", "arrow"):
        yield from _columnar(span, job)
        return
    slow = RowByRow(job, file)
    unit = job.source.layout if job.source.layout in reading.TEXT_UNITS else "lines"
    for index, record in enumerate(reading.rows(file, text_unit=unit)):
        slow.add(index, record)
        if slow.is_full:
            yield slow.block()
    yield slow.block()


class _JsonLines:
    """Blocks of JSON Lines, in order."""

    def __init__(self, span: Span, job: Job) -> None:
        self._shape = job.shape
        self._slow = RowByRow(job, span.file)
        self._bulk = vectors.bulk(job)
        self._decoder = Decoder()
        self._num_records = self._num_lines = 0
        self._skip = self._skipped = 0

    def block(self, lines: Lines) -> Block:
        """The rows of the next lines."""
        count = len(lines)
        done: list[tuple[Any, pa.RecordBatch]] = []
        if self._skip > self._skipped:
            self._skipped += 1
        else:
            self._in_bulk(lines, 0, count, done)
            # Where most rows need the other road anyway, trying costs more than it gains.
            helped = 2 * sum(len(numbers) for numbers, _ in done) >= count
            self._skip, self._skipped = 0 if helped else min(_MOST_SKIPPED, 2 * self._skip + 1), 0
        made = self._finished(lines, done)
        made.num_records, made.num_lines = count, lines.num_lines
        self._num_records += count
        self._num_lines += lines.num_lines
        return made

    def _in_bulk(self, lines: Lines, low: int, high: int, done: list[tuple[Any, pa.RecordBatch]]) -> None:
        """Read lines from `low` to `high` in bulk; those for which that fails in ever smaller stretches."""
        import numpy as np
        import pyarrow as pa

        if self._bulk is None or low == high:
            return
        table = json_lines.parse(lines, low, high, self._bulk.schema)
        found = self._bulk.rows(table, utf8=True) if table is not None else None
        if found is not None:
            batch, ordinary = found
            if not ordinary.all():
                batch = batch.filter(pa.array(ordinary))
            done.append((low + np.flatnonzero(ordinary), batch))
        elif high - low > 1 and lines.num_bytes(low, high) > _FEW_BYTES:
            middle = min(high - 1, max(low + 1, lines.middle(low, high)))
            self._in_bulk(lines, low, middle, done)
            self._in_bulk(lines, middle, high, done)

    def _finished(self, lines: Lines, done: list[tuple[Any, pa.RecordBatch]]) -> Block:
        import numpy as np

        left: Any = np.ones(len(lines), bool)
        for numbers, _ in done:
            left[numbers] = False
        for line in np.flatnonzero(left).tolist():
            row, fault = value(self._decoder, lines.text(line))
            twice = self._decoder.twice()
            if fault:  # Arrow may read it, when what is wrong lies in a column that nobody reads
                alone: list[tuple[Any, pa.RecordBatch]] = []
                self._in_bulk(lines, line, line + 1, alone)
                if alone and len(alone[0][0]):
                    done += alone
                    continue
            place = self._num_lines + int(lines.number[line])
            self._slow.add(self._num_records + line, Record(place, row, fault, twice))
        made = self._slow.block()
        index = [self._num_records + numbers for numbers, _ in done]
        places = [self._num_lines + lines.number[numbers] for numbers, _ in done]
        return _merged(made, index, places, [batch for _, batch in done])


def _columnar(span: Span, job: Job) -> Iterator[Block]:
    import numpy as np
    import pyarrow as pa

    slow, bulk = RowByRow(job, span.file), vectors.bulk(job)
    start = 0
    for batch in columnar.batches(span.file, span.start, span.stop, bulk.columns if bulk else None):
        found = bulk.rows(batch, utf8=False) if bulk else None
        index, ready = np.empty(0, np.int64), []
        rest: Any = np.arange(batch.num_rows)
        if found is not None:
            made, ordinary = found
            ready = [made if ordinary.all() else made.filter(pa.array(ordinary))]
            index, rest = start + np.flatnonzero(ordinary), np.flatnonzero(~ordinary)
        for run in np.split(rest, np.flatnonzero(np.diff(rest) > 1) + 1) if len(rest) else ():
            first = int(run[0])
            for number, (row, fault) in enumerate(columnar.values(batch.slice(first, len(run))), start + first):
                slow.add(number, Record(number + 1, row, fault))
        block = _merged(slow.block(), [index], [index + 1], ready)
        block.num_records = batch.num_rows
        start += batch.num_rows
        yield block


def _merged(block: Block, index: Sequence[Any], place: Sequence[Any], batches: Sequence[pa.RecordBatch]) -> Block:
    """The block with the rows of `batches` put where they belong."""
    import numpy as np
    import pyarrow as pa

    if not batches:
        return block
    if block.batch.num_rows:
        batches, index, place = [*batches, block.batch], [*index, block.index], [*place, block.place]
    block.batch = arrow_rows.joined(batches)
    block.index, block.place = np.concatenate(index), np.concatenate(place)
    if (np.diff(block.index) < 0).any():
        order = np.argsort(block.index, kind="stable")
        block.batch = block.batch.take(pa.array(order))
        block.index, block.place = block.index[order], block.place[order]
    return block
