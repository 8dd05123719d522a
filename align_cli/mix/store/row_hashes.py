"""A 64-bit hash of what each row of a finished mixture says, read a batch at a time.

Equal rows have equal hashes in any mixture and in its export: a column that is empty counts as one that is not there,
and JSON counts by its value. Among a million rows, two that differ share a hash with a probability of 3e-8.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.errors import UsageError
from align_cli.mix.layout.columns import COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_TEXTS = sorted({name for shape in COLUMNS.values() for name, _ in shape})
_JSON = ("chat_template_kwargs",)
_EXTRA = "extra"
_BATCH_ROWS = 1000
#: Split -> the file of it in a store's folder, and in an exported folder.
_FILES = {"train": ("train.arrow", "train-*.parquet"), "eval": ("eval.arrow", "test-*.parquet")}


class Rows(NamedTuple):
    """The rows of one split, in their order."""

    hashes: np.ndarray[Any, np.dtype[np.uint64]]
    source: np.ndarray[Any, np.dtype[np.int16]]
    """Number of the source; -1 where it is not known."""
    place: np.ndarray[Any, np.dtype[np.int64]]
    """Number of the row in the source; -1 where it is not known."""


def rows_of(folder: Path, split: str, labels: Sequence[str]) -> Rows:
    """Hashes and places of a split's rows; empty when it does not exist. Memory: 18 bytes a row.

    `labels` are the sources' in the report, by which an export names them.

    Raises:
        UsageError: the folder holds no mixture.
    """
    import numpy as np

    numbers = {label: number for number, label in reversed(list(enumerate(labels)))}
    # Copied, because a view of a column would keep its whole batch in memory.
    hashes, sources, places = bytearray(), bytearray(), bytearray()
    for batch in batches(folder, split):
        hashes += b"".join(_hashes(batch))
        sources += _sources(batch, numbers).tobytes()
        known = "place" in batch.schema.names
        places += (batch.column("place").to_numpy() if known else np.full(batch.num_rows, -1, np.int64)).tobytes()
    return Rows(np.frombuffer(hashes, np.uint64), np.frombuffer(sources, np.int16), np.frombuffer(places, np.int64))


def batches(folder: Path, split: str) -> Iterator[pa.RecordBatch]:
    """The rows of a split, from a folder of the store or an exported one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream, shards = _FILES[split]
    try:
        if (folder / stream).is_file():
            with pa.OSFile(str(folder / stream)) as file, pa.ipc.open_stream(file) as reader:
                yield from reader
            return
        found = sorted(folder.glob(shards))
        if not found and split == "train":
            raise UsageError(f"{folder}: there is no mixture in it", hint=f"it needs {stream} or {shards}")
        for shard in found:
            with pq.ParquetFile(shard) as parquet:
                yield from parquet.iter_batches(_BATCH_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{folder}: its rows cannot be read: {error}", hint="build or export it again") from None


def _hashes(batch: pa.RecordBatch) -> Iterator[bytes]:
    parts = [_column(name, batch.column(name)) for name in _TEXTS if name in batch.schema.names]
    for row in zip(*parts, strict=True):
        yield blake2b(b"".join(row), digest_size=8).digest()


def _column(name: str, column: pa.Array) -> list[bytes]:
    """Each row's bytes in this column; nothing for no value. No two different rows have equal bytes."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind) and name not in _JSON:
        texts = column.cast("binary").to_pylist()
        return [b"%s=%d:%s" % (name.encode(), len(text), text) if text is not None else b"" for text in texts]
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return _turns(name, column)
    return [_encoded(name, value) for value in column.to_pylist()]


def _encoded(name: str, value: Any) -> bytes:
    text = _canonical(value)
    return f"{name}={len(text)}:{text}".encode() if text else b""


def _turns(name: str, column: pa.Array) -> list[bytes]:
    """Turns: how many, the lengths of all their texts, the texts; then their further keys, if any has some."""
    offsets = column.offsets.to_numpy()
    start = int(offsets[0])
    turns = column.values.slice(start, int(offsets[-1]) - start)  # of the batch only, which may be part of another
    bounds = (offsets - start).tolist()
    roles, contents = (_texts(turns.field(key)) for key in ("role", "content"))
    further = _further(turns)
    valid = column.is_valid().to_pylist() if column.null_count else None
    made = []
    for row in range(len(column)):
        first, last = bounds[row], bounds[row + 1]
        if valid is not None and not valid[row]:
            made.append(b"")
            continue
        said = [b"%s=%d;" % (name.encode(), last - first)]
        for lengths, places, data in (roles, contents):
            said.append(lengths[4 * first : 4 * last])
            said.append(data[places[first] : places[last]])
        said += [b"%d.%s" % (turn - first, further[turn]) for turn in range(first, last) if turn in further]
        made.append(b"".join(said))
    return made


def _texts(array: pa.Array) -> tuple[bytes, list[int], bytes]:
    """Lengths in bytes (int32 each; -1: no text), offsets, and the text of all."""
    import numpy as np

    _, offsets, data = array.buffers()
    if offsets is None or not len(array):
        return b"", [0], b""
    bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    lengths = np.diff(bounds).astype("<i4")
    if array.null_count:
        lengths[array.is_null().to_numpy(zero_copy_only=False)] = -1
    base = int(bounds[0])
    text = memoryview(data)[base : int(bounds[-1])].tobytes() if data is not None else b""
    return lengths.tobytes(), (bounds - base).tolist(), text


def _further(turns: pa.Array) -> dict[int, bytes]:
    """Turn -> its keys besides role and content, canonical; only turns that have some."""
    names = [field.name for field in turns.type if field.name not in ("role", "content")]
    found: dict[int, dict[str, Any]] = {}
    for name in names:
        column = turns.field(name)
        if column.null_count == len(column):
            continue
        for turn, value in enumerate(column.to_pylist()):
            if value is not None:
                found.setdefault(turn, {}).update(json.loads(value) if name == _EXTRA else {name: value})
    return {turn: _encoded("extra", keys) for turn, keys in found.items() if _canonical(keys)}


def _canonical(value: Any) -> str:
    """JSON that is equal for equal values, whether as text or parsed; empty for nothing at all."""
    value = _parsed(value)
    return "" if value in (None, {}) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _parsed(value: Any) -> Any:
    """Text that holds JSON as what it means, and without keys that have no value."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    if isinstance(value, Mapping):
        return {key: parsed for key, one in value.items() if (parsed := _parsed(one)) is not None}
    return [_parsed(one) for one in value] if isinstance(value, list) else value


def _sources(batch: pa.RecordBatch, numbers: Mapping[str, int]) -> np.ndarray[Any, np.dtype[np.int16]]:
    import numpy as np
    import pyarrow as pa

    if "source" not in batch.schema.names:
        return np.full(batch.num_rows, -1, np.int16)
    column = batch.column("source")
    if pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(), np.int16)
    return np.array([numbers.get(label, -1) for label in column.to_pylist()], np.int16)
