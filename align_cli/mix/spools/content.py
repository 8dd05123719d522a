"""The digest of what rows say: the same for any batch size, any layout of buffers and any version of Arrow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


class ContentDigest:
    """Sha256 over columns: of each leaf, which values are there, the lengths and the bytes, one stream each.

    Used as a context manager; batches are hashed in a thread while the caller goes on.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._names = schema.names
        self._streams: dict[str, Any] = {}
        self._pool = ThreadPoolExecutor(1)
        self._waiting: Future[None] | None = None

    def __enter__(self) -> ContentDigest:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def add(self, batch: pa.RecordBatch) -> None:
        """The next rows."""
        self._wait()
        self._waiting = self._pool.submit(self._add, batch)

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        self._wait()
        whole = hashlib.sha256(repr(self._names).encode())
        for name in sorted(self._streams):
            whole.update(f"\n{name}={self._streams[name].hexdigest()}".encode())
        return whole.hexdigest()

    def _wait(self) -> None:
        if self._waiting is not None:
            self._waiting.result()
            self._waiting = None

    def _add(self, batch: pa.RecordBatch) -> None:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for stream, data in _leaves(name, column):
                if len(data):  # a batch without rows leaves no trace
                    self._streams.setdefault(stream, hashlib.sha256()).update(data)


def _leaves(name: str, array: pa.Array) -> Iterator[tuple[str, Any]]:
    """(stream, little-endian bytes) of one column."""
    import numpy as np
    import pyarrow as pa

    valid: Any = np.ones(len(array), np.uint8)
    if array.null_count:
        valid = array.is_valid().to_numpy(zero_copy_only=False).astype(np.uint8)
    yield f"{name}.valid", valid.data
    kind = array.type
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _leaves(f"{name}.{kind.field(index).name}", array.field(index))
    elif pa.types.is_list(kind):
        yield f"{name}.length", (np.diff(array.offsets.to_numpy()).astype("<i4") * valid).astype("<i4").data
        yield from _leaves(f"{name}.item", array.flatten())
    elif pa.types.is_string(kind):
        text = array.fill_null("") if array.null_count else array  # what lies under a null says nothing
        _, offsets, data = text.buffers()
        if len(text):
            bounds: Any = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
            yield f"{name}.length", np.diff(bounds).astype("<i4").data
            if data is not None:
                yield f"{name}.text", memoryview(data)[int(bounds[0]) : int(bounds[-1])]
    else:
        numbers = array.fill_null(False if pa.types.is_boolean(kind) else 0) if array.null_count else array
        values: Any = numbers.to_numpy(zero_copy_only=False)
        yield f"{name}.value", np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).data
