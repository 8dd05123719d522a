"""Rows' tokens on disk between two orders: written as they come, read back as packing or shuffling has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from align_cli.tasks.preparing.encoding import Encoded
from align_cli.tasks.preparing.sequences.packing import Packed
from align_cli.tasks.preparing.streams import TokenWriter

if TYPE_CHECKING:
    import numpy as np

#: Tokens put in order and written to the store at a time.
_WRITE_TOKENS = 1 << 20
_WIDTH = 4  # bytes of a token


class Scratch:
    """All rows' tokens in a plain file of int32: the id of a token in the loss, else its complement (`~id`).

    It is read piece by piece and never mapped: the pages around thousands of short pieces add up to all of it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "tokens.tmp"
        self._file = self._path.open("w+b")
        self._lengths: list[np.ndarray] = []
        self._characters: list[np.ndarray] = []

    def add(self, encoded: Encoded) -> None:
        """Append rows."""
        import numpy as np

        self._file.write(np.where(encoded.trained, encoded.ids, ~encoded.ids).data)
        self._lengths.append(encoded.lengths)
        if encoded.characters is not None:
            self._characters.append(encoded.characters)

    def lengths(self) -> np.ndarray:
        """Tokens per row: (rows,) int64."""
        import numpy as np

        every: np.ndarray = np.concatenate([*self._lengths, np.zeros(0, np.int64)])
        return every

    def characters(self) -> np.ndarray:
        """Characters of each row's text: (rows,) int64."""
        import numpy as np

        every: np.ndarray = np.concatenate([*self._characters, np.zeros(0, np.int64)])
        return every

    def write(self, packed: Packed, writer: TokenWriter, order: np.ndarray | None = None) -> None:
        """Write sequences of `packed`, in `order` (indices of sequences) or as they are, then delete the file."""
        import numpy as np

        self._file.flush()
        for batch in _batches(packed, np.arange(len(packed)) if order is None else order):
            self._write_batch(packed, batch, writer)
        self._file.close()
        self._path.unlink()

    def _write_batch(self, packed: Packed, batch: list[int], writer: TokenWriter) -> None:
        import numpy as np

        ranges = [range(packed.bounds[s], packed.bounds[s + 1]) for s in batch]
        pieces = [packed.lengths[r.start : r.stop].tolist() for r in ranges]
        lengths = [sum(of_sequence) for of_sequence in pieces]
        stored: np.ndarray = np.empty(sum(lengths), np.int32)
        room = stored.data.cast("B")
        at = 0
        for piece in (piece for r in ranges for piece in r):
            size = int(packed.lengths[piece]) * _WIDTH
            self._read(room[at : at + size], int(packed.starts[piece]) * _WIDTH)
            at += size
        trained = stored >= 0
        encoded = Encoded(np.where(trained, stored, ~stored), trained, np.array(lengths, np.int64))
        writer.write_encoded(encoded, pieces if packed.separate else None)

    def _read(self, room: memoryview, start: int) -> None:
        while room:
            count = os.preadv(self._file.fileno(), [room], start)
            if not count:
                raise OSError(f"{self._path}: the file is shorter than what was written to it")
            room, start = room[count:], start + count


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
