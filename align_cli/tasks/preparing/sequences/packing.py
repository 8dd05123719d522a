"""Which rows share a training sequence: best fit decreasing over all rows at once, or one stream cut to length.

Packing works on lengths alone. A piece is a range of a row's tokens; a sequence is a list of pieces.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

Strategy = Literal["bfd", "bfd_split", "wrapped"]


@dataclass(frozen=True)
class Packed:
    """Sequences as ranges of the tokens of all rows laid end to end.

    Sequence s is made of the pieces `bounds[s]:bounds[s + 1]`, piece p of `lengths[p]` tokens from `starts[p]` on.
    """

    starts: np.ndarray
    """(pieces,) int64"""
    lengths: np.ndarray
    """(pieces,) int64"""
    bounds: np.ndarray
    """(sequences + 1,) int64"""
    separate: bool
    """Whether pieces are rows that must not see each other (`wrapped` forgets where rows end)."""

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def fill(self, max_length: int) -> float:
        """Share of the room in all sequences that holds tokens."""
        return float(self.lengths.sum()) / (len(self) * max_length) if len(self) else 0.0


def pack(
    lengths: np.ndarray,
    max_length: int,
    strategy: Strategy,
    *,
    drop_remainder: bool = False,
    begins: np.ndarray | None = None,
) -> Packed:
    """Sequences of at most `max_length` tokens out of rows of the given lengths (int64, in order).

    `bfd` cuts longer rows off, `bfd_split` continues them as rows of their own, `wrapped` cuts the stream of all rows
    every `max_length` tokens; its last, shorter sequence is dropped on request, as trl up to 0.12 did. `begins` are the
    rows (int64, ascending, the first 0) at which a stream of its own begins; one stream where there are none.
    """
    if strategy == "wrapped":
        return _wrapped(lengths, max_length, begins, drop_remainder=drop_remainder)
    starts, lengths = _pieces(lengths, max_length, split=strategy == "bfd_split")
    return _best_fit(starts, lengths, max_length)


def _pieces(lengths: np.ndarray, max_length: int, *, split: bool) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    starts = lengths.cumsum() - lengths
    if not split:
        kept = lengths > 0
        return starts[kept], np.minimum(lengths, max_length)[kept]
    counts: np.ndarray = -(-lengths // max_length)
    row: np.ndarray = np.repeat(np.arange(len(lengths)), counts)
    nth = np.arange(len(row)) - np.repeat(counts.cumsum() - counts, counts)
    return starts[row] + nth * max_length, np.minimum(lengths[row] - nth * max_length, max_length)


def _best_fit(starts: np.ndarray, lengths: np.ndarray, max_length: int) -> Packed:
    """Best fit decreasing: each piece, longest first, goes where it leaves the least room.

    The amounts of room that some open sequence has are the bits of one integer, so the tightest fit is its lowest set
    bit from `length` on: a few machine words instead of a search tree.
    """
    import numpy as np

    order = np.argsort(-lengths, kind="stable")
    sequences: list[list[int]] = []
    open_by_room: defaultdict[int, list[list[int]]] = defaultdict(list)
    rooms = 0
    for piece, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            candidates = open_by_room[room]
            sequence = candidates.pop()
            if not candidates:
                rooms ^= 1 << room
        else:
            room, sequence = max_length, []
            sequences.append(sequence)
        sequence.append(piece)
        if room > length:
            open_by_room[room - length].append(sequence)
            rooms |= 1 << (room - length)
    flat = np.fromiter((piece for sequence in sequences for piece in sequence), np.int64, len(lengths))
    bounds = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    return Packed(starts[flat], lengths[flat], bounds, separate=True)


def buffers(characters: np.ndarray, limit: float) -> np.ndarray:
    """The rows at which trl up to 0.9 began to pack anew, because its buffer held `limit` characters or more.

    `characters` (rows,) int64 are the lengths of the rows' texts; the result is int64 (trl's `ConstantLengthDataset`).
    """
    import numpy as np

    total = characters.cumsum()
    begins, before = [], 0
    at = 0
    while at < len(total):
        begins.append(at)
        at = int(np.searchsorted(total, before + limit)) + 1
        before = int(total[at - 1]) if at <= len(total) else 0
    return np.array(begins, np.int64)


def _wrapped(lengths: np.ndarray, max_length: int, begins: np.ndarray | None, *, drop_remainder: bool) -> Packed:
    import numpy as np

    ends = np.concatenate(([0], lengths.cumsum()))
    borders = ends[np.append(begins, len(lengths))] if begins is not None and len(begins) else ends[[0, -1]]
    totals = np.diff(borders)
    counts = totals // max_length if drop_remainder else -(-totals // max_length)
    stream = np.repeat(np.arange(len(totals)), counts)
    nth = np.arange(len(stream)) - np.repeat(counts.cumsum() - counts, counts)
    starts: np.ndarray = borders[stream] + nth * max_length
    taken = np.minimum(max_length, borders[stream + 1] - starts)
    return Packed(starts, taken, np.arange(len(starts) + 1, dtype=np.int64), separate=False)
