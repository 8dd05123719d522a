"""Which rows a mixture takes, and in what order: pure arithmetic over row numbers.

Four ways. `native` chooses and orders by keys that depend only on a source's content and the seed, so that another
source's coming or going changes neither this source's rows nor their order among themselves; what it can do is told
in `mix.native`. The others are what their ancestors do, row for row: `mix.ancestors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from align_cli.mix.order import ancestors, native
from align_cli.mix.order.amounts import AmountError, Take, Wish
from align_cli.mix.order.orders import Chosen, Order

if TYPE_CHECKING:
    from align_cli.mix.order.orders import Rows as Rows

__all__ = ["AmountError", "Chosen", "Order", "Take", "Wish", "choose", "choose_eval"]


def choose(takes: Sequence[Take], wish: Wish) -> Chosen:
    """Training rows and held-out rows of a mixture. `Order.row` counts the rows on offer and may repeat one.

    Raises:
        AmountError: an amount that the sources cannot give.
    """
    return ancestors.CHOOSE.get(wish.combine, native.choose)(takes, wish)


def choose_eval(takes: Sequence[Take], wish: Wish) -> Order:
    """Rows of separate evaluation sources: whole and in their own order unless they say otherwise.

    Raises:
        AmountError: an amount that the sources cannot give.
    """
    if wish.combine == "handbook-2023":
        return ancestors.whole_and_shuffled(takes, wish)
    return native.choose_eval(takes, wish)
