"""Rows that repeat others: within a source before its rows are chosen, across sources afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from align_cli.mix.clean import STEPS, duplicates
from align_cli.mix.gather import Gathered
from align_cli.mix.order.orders import Order
from align_cli.recipe.schema import Mixture

_EXACT, _NEAR = (STEPS.index(step) + 1 for step in ("exact duplicate", "near duplicate"))
_CHUNK = 65536  # rows of signatures copied at a time


def within(mixture: Mixture, one: Gathered, scratch: Path) -> None:
    """Mark rows of a source that repeat an earlier one of it."""
    _mark(mixture, [one], _rows_of(one), scratch)


def across(
    mixture: Mixture, gathered: Sequence[Gathered], orders: Sequence[Order], scratch: Path
) -> tuple[list[Order], int]:
    """Leave out what was chosen twice: of `orders` the earlier one's rows stay, then those of the source listed first.

    Gives the orders without the others, and how many distinct rows went.
    """
    import numpy as np

    clean, native = mixture.clean, mixture.combine == "native"
    if not (clean.exact or clean.near) or (native and (len(gathered) == 1 or not clean.across)):
        return list(orders), 0
    # Rows that a source repeats on purpose count once; within a source the first in reading order stays.
    distinct = [
        np.unique(np.stack([order.source, order.row]), axis=1) if len(order.row) else np.empty((2, 0), np.int64)
        for order in orders
    ]
    together = np.concatenate(distinct, axis=1)
    groups = [together]
    if not clean.across:
        groups = [together[:, together[0] == number] for number in range(len(gathered))]
    gone = sum(_mark(mixture, gathered, Order(group[0], group[1]), scratch) for group in groups)
    return [_kept(order, gathered) for order in orders], gone


def _rows_of(one: Gathered) -> Order:
    import numpy as np

    rows = np.unique(one.usable()[1])
    return Order(np.zeros(len(rows), np.int64), rows)


def _mark(mixture: Mixture, gathered: Sequence[Gathered], order: Order, scratch: Path) -> int:
    """Among distinct rows in the order of their priority, mark those that repeat an earlier one; gives how many."""
    import numpy as np

    clean = mixture.clean
    if not (clean.exact or clean.near) or not len(order.row):
        return 0
    hashes = signatures = None
    if clean.exact:
        hashes = np.empty((len(order.row), 2), np.uint64)
        for number, one in enumerate(gathered):
            mine = order.source == number
            hashes[mine] = one.hashes[order.row[mine]]
    if clean.near:
        signatures = _stacked(gathered, order, scratch / "stacked.signatures")
    found = duplicates.find(hashes, signatures, clean.near)
    for again in np.flatnonzero(found.of >= 0).tolist():
        first = int(found.of[again])
        one, row = gathered[order.source[again]], int(order.row[again])
        other = gathered[order.source[first]]
        one.step[row] = _NEAR if found.near[again] else _EXACT
        how = "is much like" if found.near[again] else "repeats"
        label = f"{other.located.source.label}, " if other.located.source.label != one.located.source.label else ""
        if len(gathered) > 1 and order.source[first] >= len(mixture.sources):
            label = f"a row to evaluate on, {label}"
        one.why[row] = f"{how} {label}{other.where(int(order.row[first]))}"
    return int((found.of >= 0).sum())


def _stacked(gathered: Sequence[Gathered], order: Order, path: Path) -> Any:
    """The rows' signatures in priority order, in a file: they are too large for memory."""
    import numpy as np

    maps = [one.signature_rows() for one in gathered]
    width = next(one.shape[1] for one in maps if one is not None)
    if len(gathered) == 1 and len(order.row) == len(gathered[0].step):
        return maps[0]
    stacked = np.memmap(path, np.uint32, "w+", shape=(len(order.row), width))
    for start in range(0, len(order.row), _CHUNK):
        source, row = order.source[start : start + _CHUNK], order.row[start : start + _CHUNK]
        for number, signatures in enumerate(maps):
            mine = np.flatnonzero(source == number)
            if len(mine):
                stacked[start + mine] = signatures[row[mine]]
    return stacked


def _kept(order: Order, gathered: Sequence[Gathered]) -> Order:
    import numpy as np

    kept: Any = np.ones(len(order.row), bool)
    for number, one in enumerate(gathered):
        mine = order.source == number
        kept[mine] = one.step[order.row[mine]] == 0
    return Order(order.source[kept], order.row[kept])
