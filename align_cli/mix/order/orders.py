"""Rows in an order: pairs of a source's number and a row's number there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    Rows = np.ndarray[Any, np.dtype[np.int64]]


class Order(NamedTuple):
    """Rows in their final order: `source[i]` and `row[i]` are the i-th row's source and its number there, from 0.

    Both are (rows,) int64. A row that is repeated stands in it as often as it is trained on.
    """

    source: Rows
    row: Rows


class Chosen(NamedTuple):
    """The training rows and those held out of them."""

    train: Order
    held_out: Order


def concatenated(rows: Sequence[Rows]) -> Order:
    """The rows of source 0, then those of source 1, and so on."""
    import numpy as np

    if not rows:
        return Order(np.empty(0, np.int64), np.empty(0, np.int64))
    source = np.repeat(np.arange(len(rows), dtype=np.int64), [len(some) for some in rows])
    return Order(source, np.concatenate(rows).astype(np.int64))


def picked(order: Order, which: Any) -> Order:
    """The rows of an order that an index, a mask or a slice names."""
    return Order(order.source[which], order.row[which])
