"""Which rows repeat an earlier one, among rows that come in the order of their priority.

Exact: equal hashes. Near: rows whose signatures agree on at least the threshold's share of their numbers. A row goes
when it is like a row that stays; to be like a row that itself goes is no reason. Candidates are found by bands of the
signatures (locality-sensitive hashing), a band at a time, so memory is a few dozen bytes a row whatever the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

#: Chance that two rows exactly as alike as the threshold meet in some band.
_RECALL = 0.99
#: In a crowded bucket a row is compared with this many before it and this many of the bucket's first.
_NEIGHBOURS = 12
_FIRST = 4
_CHUNK = 1 << 16  # rows or pairs at a time


@dataclass(frozen=True, slots=True)
class Found:
    """What becomes of each row."""

    of: np.ndarray[Any, np.dtype[np.int64]]
    """(rows,) The earlier row that this one repeats; -1 where it stays."""
    near: np.ndarray[Any, np.dtype[np.bool_]]
    """(rows,) Whether it is alike and not equal."""


def find(hashes: Any, signatures: Any, threshold: float | None) -> Found:
    """Look for duplicates; the first of each kind stays.

    Args:
        hashes: (rows, 2) uint64, or None to leave equality out.
        signatures: (rows, permutations) uint32, may be mapped from a file; or None.
        threshold: Least similarity of near duplicates, above 0 up to 1; None to leave them out.
    """
    import numpy as np

    given = hashes if hashes is not None else signatures
    num_rows = 0 if given is None else len(given)
    of: Any = np.full(num_rows, -1, np.int64)
    near: Any = np.zeros(num_rows, bool)
    if num_rows and hashes is not None:
        _mark_equal(np.asarray(hashes), of)
    if num_rows and signatures is not None and threshold is not None:
        _mark_alike(signatures, threshold, of, near)
    return Found(of, near)


def bands(threshold: float, permutations: int) -> tuple[int, int]:
    """(bands, rows of each): as narrow a look as still finds nearly all pairs at the threshold."""
    best = (permutations, 1)
    for width in range(2, permutations + 1):
        count = permutations // width
        if 1 - (1 - threshold**width) ** count < _RECALL:
            break
        best = (count, width)
    return best


def _mark_equal(hashes: Any, of: Any) -> None:
    import numpy as np

    order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: equal rows stay in the order of their priority
    ordered = hashes[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
    of[order[~begins]] = first[~begins]


def _mark_alike(signatures: Any, threshold: float, of: Any, near: Any) -> None:
    """Decide rows from the first to the last, many at a time.

    A round finds for each undecided row the first earlier row that is like it and has not gone. Without one the row
    stays; where that one is known to stay, the row goes; the others wait for the next round.
    """
    import numpy as np

    num_bands, width = bands(threshold, signatures.shape[1])
    num_rows = len(of)
    undecided: Any = of < 0
    alive = undecided.copy()
    while undecided.any():
        earlier: Any = np.full(num_rows, num_rows, np.int64)
        for band in range(num_bands):
            order, begins = _buckets(_keys(signatures, band * width, width), alive, undecided)
            for low, high in _pairs(order, begins, undecided):
                ask = low < earlier[high]
                low, high = low[ask], high[ask]
                alike = _alike(signatures, low, high, threshold)
                np.minimum.at(earlier, high[alike], low[alike])
        kept = undecided & (earlier == num_rows)
        undecided &= ~kept
        waiting = np.flatnonzero(undecided)
        gone = waiting[~undecided[earlier[waiting]]]  # what is alive and decided stays
        of[gone], near[gone] = earlier[gone], True
        undecided[gone] = alive[gone] = False


def _keys(signatures: Any, start: int, width: int) -> Any:
    """(rows,) uint64: a number for each row's band, read a stretch of rows at a time."""
    import numpy as np

    keys: Any = np.empty(len(signatures), np.uint64)
    for begin in range(0, len(keys), _CHUNK):
        part = np.asarray(signatures[begin : begin + _CHUNK, start : start + width])
        key: Any = np.zeros(len(part), np.uint64)
        for column in range(width):
            key = (key ^ part[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        keys[begin : begin + _CHUNK] = key
    return keys


def _buckets(keys: Any, alive: Any, undecided: Any) -> tuple[Any, Any]:
    """(rows that share their band with another, by bucket and priority; where the bucket of each begins)."""
    import numpy as np

    rows = np.flatnonzero(alive)
    order = rows[np.argsort(keys[rows], kind="stable")]
    ordered = keys[order]
    edges = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(edges, len(order)))
    wanted = (sizes > 1) & (np.add.reduceat(undecided[order].astype(np.int64), edges) > 0)
    order, sizes = order[np.repeat(wanted, sizes)], sizes[wanted]
    return order, np.repeat(np.cumsum(sizes) - sizes, sizes)


def _pairs(order: Any, begins: Any, undecided: Any) -> Iterator[tuple[Any, Any]]:
    """(earlier rows, undecided rows) of the same bucket: all pairs of a small one, its first rows first.

    In a crowded bucket a row meets the first rows, which stay most likely, and its neighbours; the others in some other
    band. To compare all of a crowd with all would cost the square of its size.
    """
    import numpy as np

    place = np.arange(len(order))
    for offset in range(_FIRST):
        later = place[(begins + offset < place) & undecided[order]]
        yield order[begins[later] + offset], order[later]
    for back in range(1, _NEIGHBOURS + 1):
        later = place[(place - back >= begins + _FIRST) & undecided[order]]
        yield order[later - back], order[later]


def _alike(signatures: Any, low: Any, high: Any, threshold: float) -> Any:
    """(pairs,) Whether the signatures agree on the threshold's share of their numbers."""
    import numpy as np

    least = threshold * signatures.shape[1]
    found: Any = np.zeros(len(low), bool)
    for begin in range(0, len(low), _CHUNK >> 4):
        pair = slice(begin, begin + (_CHUNK >> 4))
        found[pair] = (signatures[low[pair]] == signatures[high[pair]]).sum(axis=1) >= least
    return found
