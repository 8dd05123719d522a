"""The external shuffle: rows of spools in any order whatever, a stretch at a time, in memory that stays flat.

Rows are dealt out to buckets, each a stretch of the final order that fits into memory; then each bucket is put in
order. Where there would be too many buckets at once, rows are first dealt out to files of many buckets each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from align_cli.mix.spools.arrow_rows import joined, trimmed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from align_cli.mix.order.arithmetic import Order
    from align_cli.mix.spools.spool import Spool

    Numbers = np.ndarray[Any, np.dtype[np.int32]]

_DEAL_BYTES = 16 << 20  # read and dealt out at a time
_BUCKET_BYTES = 32 << 20
_FAN = 256  # files that a deal goes to: with more, each would get crumbs
_CHUNK = 65536  # rows of the order that are looked at together
_PLACE = "_place"  # a row's number in the final order, while it is in a file of a bucket

Item = TypeVar("Item")


class _Deal(NamedTuple):
    """Rows to deal out: `rows` of `batch`, which may repeat, and the place of each in the final order."""

    batch: pa.RecordBatch
    rows: Numbers
    places: Numbers


def stretches(spools: Sequence[Spool], order: Order, target: pa.Schema, work: Path) -> Iterator[pa.RecordBatch]:
    """The rows that `order` names, in that order, with the columns of `target`; `work` is a folder for scratch files.

    Memory: some buckets, and a few bytes for each row of the order.
    """
    bucket_of = _bucket_of(spools, order)
    if not len(bucket_of):
        return
    deals = _wanted(spools, order, target)
    num_buckets = int(bucket_of[-1]) + 1
    if num_buckets == 1:
        yield _in_order([_taken(deal) for deal in deals])
        return
    width = 1
    while num_buckets > width * _FAN:
        width *= _FAN
    yield from _ordered(deals, bucket_of, width, target, work)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items, each made in a thread while the caller works on the one before."""
    end: Any = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item
            del item  # or it would live on while the caller waits for the next


def _bucket_of(spools: Sequence[Spool], order: Order) -> Numbers:
    """(ordered rows,) The bucket of each, rising: `_BUCKET_BYTES` of rows, or one row that is larger."""
    import numpy as np

    sizes = [spool.sizes() for spool in spools]
    buckets: Any = np.empty(len(order.row), np.int32)
    end = 0.0
    for start in range(0, len(buckets), _CHUNK):  # whole arrays of floats would be most of what the shuffle needs
        source, row = order.source[start : start + _CHUNK], order.row[start : start + _CHUNK]
        size: Any = np.empty(len(row), np.float64)
        for number in np.unique(source).tolist():
            mine = source == number
            size[mine] = sizes[number][row[mine]]
        ends = np.cumsum(size) + end
        end = ends[-1]
        buckets[start : start + _CHUNK] = ends / _BUCKET_BYTES
    found: Numbers = buckets
    return found


def _wanted(spools: Sequence[Spool], order: Order, target: pa.Schema) -> Iterator[_Deal]:
    """The rows that the order names, in reading order."""
    import numpy as np

    for number, spool in enumerate(spools):
        places = np.flatnonzero(order.source == number).astype(np.int32)
        if not len(places):
            continue
        rows = order.row[places].astype(np.int32)
        by_row = np.argsort(rows, kind="stable")
        places, rows = places[by_row], rows[by_row]
        del by_row
        start = 0
        for file in spool.files:
            end = start + file.num_rows
            if np.searchsorted(rows, start) < np.searchsorted(rows, end):
                for batch in _gathered(trimmed(batch, target) for batch in file.read()):
                    low, high = np.searchsorted(rows, [start, start + batch.num_rows]).tolist()
                    step = max(1, batch.num_rows)  # rows that are named many times make several deals
                    for first in range(low, high, step):
                        last = min(first + step, high)
                        yield _Deal(batch, rows[first:last] - np.int32(start), places[first:last])
                    start += batch.num_rows
            start = end


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Small batches, joined into larger ones."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.nbytes
        if size >= _DEAL_BYTES:
            together, waiting, size = joined(waiting), [], 0
            _release()
            yield together
    if waiting:
        yield joined(waiting)


def _ordered(
    deals: Iterator[_Deal], bucket_of: Numbers, width: int, target: pa.Schema, work: Path
) -> Iterator[pa.RecordBatch]:
    """The rows of all deals in their order. A file is made of `width` buckets; of one, when it is 1."""
    import numpy as np

    def shared(deal: _Deal) -> tuple[pa.RecordBatch, list[tuple[int, int, int]]]:
        files = bucket_of[deal.places] // width
        by_file = np.argsort(files, kind="stable")
        present, firsts = np.unique(files[by_file], return_index=True)
        edges = [*firsts.tolist(), len(files)]
        rows = _taken(_Deal(deal.batch, deal.rows[by_file], deal.places[by_file]))
        return rows, list(zip(present.tolist(), edges[:-1], edges[1:], strict=True))

    paths: dict[int, Path] = {}
    for rows, shares in ahead(map(shared, deals)):
        for number, first, last in shares:
            path = paths.setdefault(number, work / f"bucket-{width}-{number}.arrow")
            # Opened for each share, so that no number of files runs into the limit on open ones.
            with path.open("ab", buffering=0) as file:
                _write_all(file.write, rows.slice(first, last - first).serialize())
        del rows
    for number in sorted(paths):
        path = paths.pop(number)
        if width == 1:
            yield _in_order(list(_stored(path, target)))
        else:
            yield from _ordered(_again(path, target), bucket_of, width // _FAN, target, work)
        path.unlink()


def _again(path: Path, target: pa.Schema) -> Iterator[_Deal]:
    """What was dealt out to a file of many buckets."""
    import numpy as np

    for batch in _gathered(_stored(path, target)):
        places = batch.column(_PLACE).to_numpy()
        yield _Deal(batch.remove_column(batch.num_columns - 1), np.arange(len(places), dtype=np.int32), places)


def _taken(deal: _Deal) -> pa.RecordBatch:
    import pyarrow as pa

    return deal.batch.take(pa.array(deal.rows)).append_column(_PLACE, pa.array(deal.places))


def _stored(path: Path, target: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    stored = target.append(pa.field(_PLACE, pa.int32()))
    with pa.OSFile(str(path)) as source:
        size = source.size()
        while source.tell() < size:
            yield pa.ipc.read_record_batch(pa.ipc.read_message(source), stored)


def _in_order(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows by their place, which goes. `batches` is emptied, so that their memory can go, too."""
    import numpy as np
    import pyarrow as pa

    together = joined(batches)
    batches.clear()
    _release()
    place = together.column(_PLACE).to_numpy()
    return together.remove_column(together.num_columns - 1).take(pa.array(np.argsort(place, kind="stable")))


def _release() -> None:
    """Give free memory back to the system: Arrow's allocator would hold on to some more of it for each new bucket."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _write_all(write: Callable[[Any], int], data: Any) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[write(rest) :]
