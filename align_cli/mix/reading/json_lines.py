"""JSON Lines by the block: cut at line borders, and each block parsed at once by Arrow, or line by line by Python.

Arrow's parser is the more patient one with columns that nobody reads (`Inf`, very long numbers, very deep lists). So
what Python's refuses is shown to Arrow's, too, and a row does not depend on the rows around it.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes read at a time, and the rest of the last line.
BLOCK_BYTES = 2 << 20


def without_mark(data: bytes) -> bytes:
    """The bytes after a UTF-8 byte order mark."""
    return data.removeprefix(codecs.BOM_UTF8)


def is_list(stream: IO[bytes]) -> bool:
    """Whether a JSON list begins where the stream is; the stream is then at its start again."""
    start = without_mark(stream.read(1 << 12)).lstrip()
    while not start and (piece := stream.read(1 << 20)):
        start = piece.lstrip()
    stream.seek(0)
    return start[:1] == b"["


def blocks(stream: IO[bytes], start: int, stop: int, size: int = BLOCK_BYTES) -> Iterator[Lines]:
    """Whole lines from `start` to `stop`, or to the end for -1, a block of about `size` bytes at a time."""
    stream.seek(start)
    at = start
    plain = isinstance(stream, io.BufferedReader)  # what is packed cannot be looked at in advance
    while stop < 0 or at < stop:
        wanted = size if stop < 0 else min(size, stop - at)
        if plain:
            stream.seek(at + wanted - 1)
            wanted += max(0, len(stream.readline()) - 1)
            stream.seek(at)
        data = stream.read(wanted)
        if not data:
            return
        if not plain and data[-1:] != b"\n":
            data += stream.readline()
        at += len(data)
        yield Lines(without_mark(data) if at == len(data) else data)


class Lines:
    """The lines of a block that are not blank.

    `number` (lines,) is each one's number in the block, from 1; `starts` and `stops` (lines,) where it lies in `data`,
    without the space around it; `odd` (lines,) whether it is no object on one line to begin with.
    """

    def __init__(self, data: bytes) -> None:
        import numpy as np

        text: Any = np.frombuffer(data, np.uint8)
        stops = np.flatnonzero(text == 10)
        if len(data) and data[-1] != 10:
            stops = np.append(stops, len(data))
        starts = np.empty_like(stops)
        starts[:1], starts[1:] = 0, stops[:-1] + 1
        self.data = data
        self.num_lines = len(stops)
        number = np.arange(1, len(stops) + 1)
        stops = stops - ((stops > starts) & (text[stops - 1] == 13))  # Windows
        odd = (stops <= starts) | (text[np.minimum(starts, len(data) - 1)] != 123) | (text[stops - 1] != 125)
        blank = np.zeros(len(stops), bool)
        for line in np.flatnonzero(odd).tolist():
            whole = data[starts[line] : stops[line]]
            if not (bare := whole.strip()):
                blank[line] = True
                continue
            starts[line] += len(whole) - len(whole.lstrip())
            stops[line] = starts[line] + len(bare)
            odd[line] = bare[:1] != b"{" or bare[-1:] != b"}"
        kept = slice(None) if not blank.any() else ~blank
        self.number, self.starts, self.stops, self.odd = number[kept], starts[kept], stops[kept], odd[kept]

    def __len__(self) -> int:
        return len(self.number)

    def text(self, line: int) -> bytes:
        """One line, without the space around it."""
        return self.data[self.starts[line] : self.stops[line]]

    def middle(self, low: int, high: int) -> int:
        """The line that begins about half way between two."""
        return int(self.starts.searchsorted((int(self.starts[low]) + int(self.stops[high - 1])) // 2))

    def num_bytes(self, low: int, high: int) -> int:
        """How long a stretch of lines is."""
        return int(self.stops[high - 1] - self.starts[low]) if high > low else 0


def parse(lines: Lines, low: int, high: int, schema: pa.Schema) -> pa.Table | None:
    """The lines from `low` to `high` as columns of `schema`, one row each; None when there is any doubt.

    A column that a row lacks is null there; columns that `schema` does not name are left out.
    """
    import pyarrow as pa
    import pyarrow.json

    # Arrow crashes on a block that begins with null, and takes several objects on a line.
    if lines.odd[low:high].any():
        return None
    start, stop = int(lines.starts[low]), int(lines.stops[high - 1])
    piece = pa.py_buffer(lines.data).slice(start, stop - start)
    if stop - start >= 1 << 30 or not is_utf8(piece):
        return None
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(piece),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=stop - start + 1),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        return None
    return table if table.num_rows == high - low else None


def is_utf8(text: pa.Buffer) -> bool:
    """Whether the bytes are UTF-8."""
    import pyarrow as pa

    offsets = pa.array([0, text.size], pa.int32()).buffers()[1]
    try:
        pa.StringArray.from_buffers(1, offsets, text).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
