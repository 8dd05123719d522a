"""The native way to mix: each source by itself first, the mixture as a whole only where it is asked for.

1. Limit. `fraction`, `rows` or `tokens` take rows of a source in the order of their keys, or from its beginning with
   `shuffle: false`.
2. Hold out. A share below 1 is taken of every source by itself, a count over the mixture; a source's own `held_out`
   goes first. What is held out is never trained on, however often its source is listed or repeated.
3. Repeat. What is left may be taken more than once.
4. Deal out. Shares, a temperature or a total take the first of these rows, as many as each source's part is.
5. Order.

Steps 1 to 3 look at nothing but the source (a count of held-out rows excepted), so adding, removing or reordering
other sources never changes them. Step 4 cannot be so: a share is a share of something. But it, too, takes a source's
rows in the order of their keys, so a part that grows only adds rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from align_cli.mix.order import amounts, dealing, keys
from align_cli.mix.order.amounts import AmountError, Take, Wish
from align_cli.mix.order.interleave import turns
from align_cli.mix.order.orders import Chosen, Order, concatenated, picked

if TYPE_CHECKING:
    from align_cli.mix.order.orders import Rows


def choose(takes: Sequence[Take], wish: Wish) -> Chosen:
    """Training rows and held-out rows.

    Raises:
        AmountError: an amount that the sources cannot give.
    """
    pools, held = _hold_out(takes, _limited(takes, wish.seed), wish)
    counts = dealing.dealt([dealing.pool(*each) for each in zip(takes, pools, range(len(takes)), strict=True)], wish)
    train = [_cycled(pool, count) for pool, count in zip(pools, counts, strict=True)]
    return Chosen(_arranged(takes, train, wish), _arranged(takes, held, wish))


def choose_eval(takes: Sequence[Take], wish: Wish) -> Order:
    """Rows of separate evaluation sources: whole unless they say otherwise, and always in their own order."""
    import numpy as np

    return concatenated([np.sort(pool) for pool in _limited(takes, wish.seed)])


def _places(take: Take) -> Rows:
    import numpy as np

    return np.arange(take.available, dtype=np.int64) if take.places is None else take.places


def _keys(takes: Sequence[Take], seed: int, use: keys.Use) -> list[Any]:
    """Per source a function from its row numbers (and how often each came before) to their keys."""
    found = keys.salts([take.identity for take in takes], seed, use)
    places = [_places(take) for take in takes]
    return [
        lambda rows, copies=None, salt=salt, at=at: keys.keys(salt, at[rows], copies)
        for salt, at in zip(found, places, strict=True)
    ]


# -- 1. limit ----------------------------------------------------------------------------------------------------------


def _limited(takes: Sequence[Take], seed: int) -> list[Rows]:
    """Per source the rows that `fraction`, `rows` or `tokens` leave, in the order in which they are taken."""
    import numpy as np

    found = []
    for number, (take, key) in enumerate(zip(takes, _keys(takes, seed, "choose"), strict=True)):
        if take.share == 0:
            found.append(np.empty(0, np.int64))
            continue
        rows = np.arange(take.available, dtype=np.int64)
        if take.shuffle is not False:
            rows = rows[np.argsort(key(rows), kind="stable")]
        count = amounts.limit(take, number) if take.tokens is None else _within(take, rows, number)
        found.append(rows[:count])
    return found


def _within(take: Take, rows: Rows, number: int) -> int:
    """How many of the first rows fit into a source's token budget."""
    import numpy as np

    assert take.lengths is not None  # the build measures where tokens are asked for
    assert take.tokens is not None
    if take.fraction is not None or take.rows is not None:
        amounts.limit(take, number)  # raises: one of them at a time
    sums = np.cumsum(take.lengths[rows])
    there = int(sums[-1]) if len(sums) else 0
    if there < take.tokens:
        raise AmountError(
            f"{take.tokens:,} tokens are asked for and its {take.available:,} rows have {there:,}",
            f"take fewer, or leave tokens out and write repeat: {math.ceil(take.tokens / there) if there else 2}",
            number,
        )
    count = int(np.searchsorted(sums, take.tokens, side="right"))
    if not count:
        raise dealing.too_small(take, rows, take.tokens, number)
    return count


# -- 2. hold out -------------------------------------------------------------------------------------------------------


def _hold_out(takes: Sequence[Take], pools: Sequence[Rows], wish: Wish) -> tuple[list[Rows], list[Rows]]:
    """What is left to train on and what is held out, both still in the order of taking."""
    import numpy as np

    out: list[Any] = [np.zeros(len(pool), bool) for pool in pools]
    found = [key(pool) for key, pool in zip(_keys(takes, wish.seed, "hold out"), pools, strict=True)]
    silent = []
    for number, (take, pool) in enumerate(zip(takes, pools, strict=True)):
        wanted = wish.held_out if take.held_out is None else take.held_out
        _demand_share_or_count(wanted, None if take.held_out is None else number)
        if wanted is None or not len(pool):
            continue
        if wanted >= 1 and take.held_out is None:
            silent.append(number)
            continue
        if wanted < 1:
            count = _rounded(amounts.exact(wanted) * len(pool), len(pool)) if wanted else 0
        elif (count := int(wanted)) >= len(pool):
            raise _nothing_left(count, len(pool), number)
        out[number][np.argsort(found[number], kind="stable")[:count]] = True
    if silent:
        assert wish.held_out is not None
        count, num_rows = int(wish.held_out), sum(len(pools[number]) for number in silent)
        if count >= num_rows:
            raise _nothing_left(count, num_rows, None)
        of = concatenated([np.arange(len(pools[number]), dtype=np.int64) for number in silent])
        order = np.argsort(np.concatenate([found[number] for number in silent]), kind="stable")[:count]
        for position, number in enumerate(silent):
            out[number][of.row[order[of.source[order] == position]]] = True
    held = [pool[mask] for pool, mask in zip(pools, out, strict=True)]
    left = [pool[~mask] for pool, mask in zip(pools, out, strict=True)]
    return _without_copies(takes, left, held), held


def _rounded(share: Fraction, num_rows: int) -> int:
    """To the nearest, a half upwards; at least one row, and one at least stays."""
    return min(max(math.floor(share + Fraction(1, 2)), 1), num_rows - 1)


def _without_copies(takes: Sequence[Take], left: Sequence[Rows], held: Sequence[Rows]) -> list[Rows]:
    """A row that one listing of a source holds out is not trained on through another listing of the same source."""
    import numpy as np

    listed: dict[str, list[int]] = {}
    for number, take in enumerate(takes):
        listed.setdefault(take.identity, []).append(number)
    found = list(left)
    for numbers in listed.values():
        if len(numbers) > 1:
            held_places = np.concatenate([_places(takes[number])[held[number]] for number in numbers])
            for number in numbers if len(held_places) else ():
                found[number] = left[number][~np.isin(_places(takes[number])[left[number]], held_places)]
    return found


def _demand_share_or_count(held_out: float | int | None, number: int | None) -> None:
    if held_out is not None and (held_out < 0 or (held_out >= 1 and held_out != int(held_out))):
        raise AmountError(f"held_out is {held_out:g}", "write a share below 1 or a count of rows", number)


def _nothing_left(count: int, num_rows: int, number: int | None) -> AmountError:
    said = f"held_out asks for {count:,} of {num_rows:,} rows, which leaves nothing to train on"
    return AmountError(said, "hold out fewer rows, or list the source under mixture.eval", number)


# -- 3. repeat, 4. deal out: `mix.dealing` counts ----------------------------------------------------------------------


def _cycled(pool: Rows, count: int) -> Rows:
    import numpy as np

    return pool[:count] if count <= len(pool) else np.resize(pool, count)


# -- 5. order ----------------------------------------------------------------------------------------------------------


def _arranged(takes: Sequence[Take], rows: Sequence[Rows], wish: Wish) -> Order:
    """The rows in the mixture's order. Each repetition of a row finds a place of its own."""
    import numpy as np

    found = []
    for some, key in zip(rows, _keys(takes, wish.seed, "order"), strict=True):
        copies = _copies(some)
        found.append((key(some, copies), copies))
    if wish.order == "shuffled":
        together = concatenated(rows)
        values = np.concatenate([value for value, _ in found]) if found else np.empty(0, np.uint64)
        return picked(together, np.argsort(values, kind="stable"))
    ordered = []
    for take, some, (value, copies) in zip(takes, rows, found, strict=True):
        if take.shuffle is False:
            ordered.append(some)
        else:
            by_copy = (value,) if copies is None else (value, copies)
            ordered.append(some[np.lexsort(by_copy)])
    if wish.order == "concatenated":
        return concatenated(ordered)
    source = turns([len(some) for some in ordered])
    row = np.empty(len(source), np.int64)
    for number, some in enumerate(ordered):
        row[source == number] = some
    return Order(source, row)


def _copies(rows: Rows) -> Rows | None:
    """How often each row came before; None when no row comes twice. Rows repeat as a whole: abcab."""
    import numpy as np

    if not len(rows):
        return None
    again = np.flatnonzero(rows == rows[0])
    if len(again) == 1:
        return None
    return np.arange(len(rows), dtype=np.int64) // int(again[1])
