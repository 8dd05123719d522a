"""How many rows each source gives to a native mixture: repeats, shares, temperature and totals.

A source's rows to train on are a line that starts again when it ends; its part of the mixture is a prefix of it. Up to
`repeat` times the line may be used without asking, and on and on with `oversample`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.mix.order import amounts, shares
from align_cli.mix.order.amounts import AmountError, Take, Wish

if TYPE_CHECKING:
    from align_cli.mix.order.orders import Rows

_MOST_ROWS = 10**9  # in all; more is a slip in the shares, and would fill the memory before anything else


class Pool(NamedTuple):
    """What a source has to train on: its rows over and over, of which `offered` may be taken."""

    take: Take
    rows: Rows
    number: int
    offered: int
    sums: Any
    """(rows,) int64: tokens of the first row, the first two, …; None where nobody counts tokens."""

    def tokens(self, num_rows: int) -> int:
        """Tokens of the first rows, repeated ones counted."""
        if not num_rows:
            return 0
        copies, rest = divmod(num_rows, len(self.rows))
        return copies * int(self.sums[-1]) + (int(self.sums[rest - 1]) if rest else 0)

    def within(self, budget: int) -> int:
        """The most first rows, over and over, whose tokens are within the budget."""
        import numpy as np

        whole = int(self.sums[-1]) if len(self.rows) else 0
        if not whole:
            return len(self.rows)  # rows without tokens: once is enough
        copies, rest = divmod(budget, whole)
        return copies * len(self.rows) + int(np.searchsorted(self.sums, rest, side="right"))


def pool(take: Take, rows: Rows, number: int) -> Pool:
    """A source's rows to train on, in the order in which they are taken.

    Raises:
        AmountError: repeat is less than 1.
    """
    import numpy as np

    repeat = 1 if take.repeat is None else take.repeat
    if repeat < 1:
        raise AmountError(f"repeat is {repeat:g}, at least 1", f"fraction: {repeat:g} takes a part", number)
    whole = int(repeat)
    offered = whole * len(rows) + math.floor((amounts.exact(repeat) - whole) * len(rows))
    sums = None if take.lengths is None else np.cumsum(take.lengths[rows])
    return Pool(take, rows, number, offered, sums)


def dealt(pools: Sequence[Pool], wish: Wish) -> list[int]:
    """How many rows each source gives to train on, repeated ones counted.

    Raises:
        AmountError: a source is too small for its part, or not even a row fits into its part of the tokens.
    """
    given = [pool.take.share is not None for pool in pools]
    if any(given) and not all(given):
        raise AmountError("share is given for other sources and not for this one", source=given.index(False))
    if wish.tokens is not None:
        counts = _dealt_tokens(pools, wish, asked=any(given))
    elif any(given) or wish.temperature is not None or wish.rows is not None:
        counts = _dealt_rows(pools, wish)
    else:
        counts = [pool.offered for pool in pools]
    if sum(counts) > _MOST_ROWS:
        said = f"{sum(counts):,} rows of {sum(len(pool.rows) for pool in pools):,} different ones"
        raise AmountError(said, "look at share: and repeat:, or give mixture.rows")
    return counts


def _dealt_rows(pools: Sequence[Pool], wish: Wish) -> list[int]:
    sizes = [pool.offered for pool in pools]
    weights = _weights(pools, sizes, wish)
    for pool, weight in zip(pools, weights, strict=True):
        if weight and not pool.offered:
            raise AmountError("it has a share, and no row of it can be used", "leave it out", pool.number)
    if wish.rows is None:
        return shares.parts(
            (shares.smallest_total if wish.oversample else shares.largest_total)(weights, sizes), weights
        )
    if not sum(weights):
        raise AmountError(f"{wish.rows:,} rows are asked for and there are none")
    counts = shares.parts(wish.rows, weights)
    if not wish.oversample:
        _demand_rows(pools, counts, wish.rows)
    return counts


def too_small(take: Take, rows: Rows, budget: int, number: int) -> AmountError:
    """The error for a token budget that not even the first row fits into."""
    assert take.lengths is not None
    said = f"a budget of {budget:,} tokens has no room for its first row, which has {int(take.lengths[rows[0]]):,}"
    return AmountError(said, f"shortest row: {int(take.lengths.min()):,} tokens; ask for more", number)


def _dealt_tokens(pools: Sequence[Pool], wish: Wish, *, asked: bool) -> list[int]:
    assert wish.tokens is not None
    assert all(pool.take.lengths is not None for pool in pools)
    sizes = [pool.tokens(pool.offered) for pool in pools]
    weights = _weights(pools, sizes, wish)
    if not sum(weights):
        raise AmountError(f"{wish.tokens:,} tokens are asked for and there are none")
    counts = []
    for pool, size, budget in zip(pools, sizes, shares.parts(wish.tokens, weights), strict=True):
        if budget > size and (not size or not wish.oversample):
            raise AmountError(
                f"its part of the mixture is {budget:,} tokens and its {pool.offered:,} rows have {size:,}",
                "ask for fewer tokens, repeat: it, or set mixture.oversample: true",
                pool.number,
            )
        count = pool.within(budget) if wish.oversample else min(pool.within(budget), pool.offered)
        if not count and budget and asked:
            raise too_small(pool.take, pool.rows, budget, pool.number)
        counts.append(count)
    return counts


def _weights(pools: Sequence[Pool], sizes: Sequence[int], wish: Wish) -> list[Fraction]:
    if any(pool.take.share is not None for pool in pools):
        weights = [amounts.exact(pool.take.share or 0) for pool in pools]
        if min(weights) < 0 or not sum(weights):
            raise AmountError("shares are parts of the mixture: none below 0, and not all 0")
        return weights
    if wish.temperature is not None and wish.temperature <= 0:
        raise AmountError(f"temperature is {wish.temperature:g}, more than 0", "1 keeps the sources' own sizes")
    return shares.tempered(sizes, 1 if wish.temperature is None else wish.temperature)


def _demand_rows(pools: Sequence[Pool], counts: Sequence[int], total: int) -> None:
    there = sum(pool.offered for pool in pools)
    if total > there:
        raise AmountError(
            f"{total:,} rows are asked for and the sources have {there:,} to train on",
            "ask for fewer rows, repeat: a source, or set mixture.oversample: true",
        )
    for pool, count in zip(pools, counts, strict=True):
        if count > pool.offered:
            raise AmountError(
                f"its part of the mixture is {count:,} rows and it has {pool.offered:,} to train on",
                "ask for fewer rows in all or a smaller share, repeat: it, or set mixture.oversample: true",
                pool.number,
            )
