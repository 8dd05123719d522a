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


def pack(lengths: np.ndarray, max_length: int, strategy: Strategy, *, drop_remainder: bool = False) -> Packed:
    """Sequences of at most `max_length` tokens out of rows of the given lengths (int64, in order).

    `bfd` cuts longer rows off, `bfd_split` continues them as rows of their own, `wrapped` cuts the stream of all rows
    every `max_length` tokens; its last, shorter sequence is dropped on request, as trl up to 0.12 did.
    """
    if strategy == "wrapped":
        return _wrapped(int(lengths.sum()), max_length, drop_remainder=drop_remainder)
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


def _wrapped(total: int, max_length: int, *, drop_remainder: bool) -> Packed:
    import numpy as np

    count = total // max_length if drop_remainder else -(-total // max_length)
    starts: np.ndarray = np.arange(count, dtype=np.int64) * max_length
    lengths = np.minimum(max_length, total - starts)
    return Packed(starts, lengths, np.arange(count + 1, dtype=np.int64), separate=False)
