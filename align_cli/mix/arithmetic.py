"""Which rows a mixture takes, and in what order: pure arithmetic over row numbers.

Four ways. `native` chooses and orders by keys that depend only on a source's content and the seed, so that another
source's coming or going changes neither this source's rows nor their order among themselves. The others are what their
ancestors do, row for row, on the installed numpy:

- `handbook-2023`: of each source the first `int(fraction * n)` rows, concatenated, shuffled with the seed (42 there);
  evaluation rows whole, concatenated and shuffled likewise.
- `handbook-2025`: each source shuffled with the seed, its first `int(weight * n)` rows, concatenated, shuffled again;
  evaluation rows by `datasets`' train_test_split with the same seed.
- `trl`: fractions are target shares, normalised; the mixture is as large as it can be without repeating a row; first
  rows of each source, concatenated, not shuffled; train_test_split, for which TRL gives no seed and we do.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.recipe.schema import Combine

if TYPE_CHECKING:
    import numpy as np

    Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """What one source offers and what is wanted of it."""

    available: int
    fraction: float | None = None
    rows: int | None = None
    shuffle: bool | None = None
    identity: str = ""
    """Digest of the source's content, on which the native choice depends; the same for any path or name."""


class Order(NamedTuple):
    """Rows in their final order: `source[i]` and `row[i]` are the i-th row's source and its number there, from 0."""

    source: Rows
    row: Rows


class Chosen(NamedTuple):
    """The training rows and those held out of them."""

    train: Order
    held_out: Order


class AmountError(Exception):
    """The wish cannot be met. `source` is the source's number, or None for the mixture as a whole."""

    def __init__(self, message: str, hint: str = "", source: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.source = source


def choose(takes: Sequence[Take], *, combine: Combine, seed: int, held_out: float | int | None) -> Chosen:
    """Training rows and held-out rows of a mixture.

    Raises:
        AmountError: a fraction or a count that the sources cannot give.
    """
    return _COMBINE[combine](takes, seed, held_out)


def choose_eval(takes: Sequence[Take], *, combine: Combine, seed: int) -> Order:
    """Rows of separate evaluation sources: whole and in their own order unless they say otherwise."""
    import numpy as np

    if combine == "handbook-2023":
        whole = _concatenate([np.arange(take.available) for take in takes])
        return _picked(whole, _permutation(seed, len(whole.row)))
    keys = _salts(takes, seed, "choose")
    picked = []
    for number, take in enumerate(takes):
        count = _count(take, number)
        if take.shuffle is False or count == take.available:
            picked.append(np.arange(count))
        else:
            picked.append(np.sort(np.argsort(_keys(keys[number], take.available), kind="stable")[:count]))
    return _concatenate(picked)


def _native(takes: Sequence[Take], seed: int, held_out: float | int | None) -> Chosen:
    import numpy as np

    choose_salts, order_salts = _salts(takes, seed, "choose"), _salts(takes, seed, "order")
    picked, keys = [], []
    for number, take in enumerate(takes):
        count = _count(take, number)
        if take.shuffle is False:
            rows = np.arange(count)
        else:
            rows = np.argsort(_keys(choose_salts[number], take.available), kind="stable")[:count]
        picked.append(rows)
        keys.append(_keys(order_salts[number], take.available)[rows])
    together = _concatenate(picked)
    order_keys = np.concatenate(keys) if keys else np.empty(0, np.uint64)
    order = np.argsort(order_keys, kind="stable")
    count = _held_out_count(held_out, len(order))
    if not count:
        return Chosen(_picked(together, order), _picked(together, order[:0]))
    # Keys of their own, so that holding out more never takes a row back into training.
    out_salts = _salts(takes, seed, "hold out")
    out_keys = np.concatenate(
        [_keys(salt, take.available)[rows] for salt, take, rows in zip(out_salts, takes, picked, strict=True)]
    )
    out: Any = np.zeros(len(order), bool)
    out[np.argsort(out_keys, kind="stable")[:count]] = True
    return Chosen(_picked(together, order[~out[order]]), _picked(together, order[out[order]]))


def _handbook_2023(takes: Sequence[Take], seed: int, held_out: float | int | None) -> Chosen:
    import numpy as np

    rows = []
    for number, take in enumerate(takes):
        count = _count(take, number, floor=_float_floor)
        rows.append(np.arange(count))
    together = _concatenate(rows)
    shuffled = _picked(together, _permutation(seed, len(together.row)))
    return _split(shuffled, seed, held_out)


def _handbook_2025(takes: Sequence[Take], seed: int, held_out: float | int | None) -> Chosen:
    import numpy as np

    rows = []
    for number, take in enumerate(takes):
        count = _count(take, number, floor=_float_floor)
        shuffle = take.fraction is not None if take.shuffle is None else take.shuffle
        rows.append(_permutation(seed, take.available)[:count] if shuffle else np.arange(count))
    together = _concatenate(rows)
    shuffled = _picked(together, _permutation(seed, len(together.row)))
    return _split(shuffled, seed, held_out)


def _trl(takes: Sequence[Take], seed: int, held_out: float | int | None) -> Chosen:
    import numpy as np

    fractions = [take.fraction for take in takes]
    given = [fraction for fraction in fractions if fraction is not None]
    if given and len(given) < len(takes):
        missing = fractions.index(None)
        raise AmountError("a fraction must be given for every source or for none", source=missing)
    counts = [_count(Take(available=take.available, rows=take.rows), number) for number, take in enumerate(takes)]
    if given:
        if min(given) < 0 or sum(given) <= 0:
            raise AmountError("fractions are shares of the mixture: none below 0, and not all 0")
        weights = [fraction / sum(given) for fraction in given]
        total = min(take.available / weight for take, weight in zip(takes, weights, strict=True) if weight > 0)
        counts = [round(weight * total) for weight in weights]
    return _split(_concatenate([np.arange(count) for count in counts]), seed, held_out)


_COMBINE = {"native": _native, "handbook-2023": _handbook_2023, "handbook-2025": _handbook_2025, "trl": _trl}


def _exact_floor(fraction: float, num_rows: int) -> int:
    return math.floor(Fraction(str(fraction)) * num_rows)


def _float_floor(fraction: float, num_rows: int) -> int:
    return int(fraction * num_rows)  # 0.29 of 100 rows is 28 there


def _count(take: Take, number: int, floor: Any = _exact_floor) -> int:
    """How many rows a source gives: all, a share or a count."""
    if take.fraction is not None and take.rows is not None:
        raise AmountError("fraction and rows are both given", "keep one of them", number)
    if take.rows is not None:
        if take.rows < 0:
            raise AmountError(f"rows is {take.rows}", "write a count from 0 on", number)
        if take.rows > take.available:
            raise AmountError(
                f"{take.rows} rows are asked for and {take.available} can be used",
                "take fewer rows, or leave rows out to take all",
                number,
            )
        return take.rows
    if take.fraction is None:
        return take.available
    if not 0 <= take.fraction <= 1:
        if take.fraction < 0:
            hint = "0 leaves the source out"
        elif take.fraction == int(take.fraction):
            hint = f"for a count of rows write rows: {take.fraction:g}"
        else:
            hint = "1 takes all its rows; rows are not repeated"
        raise AmountError(
            f"fraction is {take.fraction:g}; it is a share of the source's own rows, from 0 to 1", hint, number
        )
    return int(floor(take.fraction, take.available))


def _held_out_count(held_out: float | int | None, num_rows: int) -> int:
    """Below 1 a share, rounded up as `datasets` does; from 1 on a count."""
    if held_out is None:
        return 0
    if held_out < 0 or (held_out >= 1 and held_out != int(held_out)):
        raise AmountError(f"held_out is {held_out:g}", "write a share below 1 or a count of rows")
    count = math.ceil(held_out * num_rows) if held_out < 1 else int(held_out)
    if count >= num_rows and count:
        raise AmountError(
            f"held_out asks for {count} of {num_rows} rows, which leaves nothing to train on", "hold out fewer rows"
        )
    return count


def _split(order: Order, seed: int, held_out: float | int | None) -> Chosen:
    """`datasets.Dataset.train_test_split(test_size=held_out, seed=seed)`."""
    count = _held_out_count(held_out, len(order.row))
    if not count:
        return Chosen(order, _picked(order, slice(0, 0)))
    permutation = _permutation(seed, len(order.row))
    return Chosen(_picked(order, permutation[count:]), _picked(order, permutation[:count]))


def _permutation(seed: int, num_rows: int) -> Rows:
    """The order into which `datasets.Dataset.shuffle(seed=seed)` brings rows."""
    import numpy as np

    permutation: Rows = np.random.default_rng(seed).permutation(num_rows)
    return permutation


def _salts(takes: Sequence[Take], seed: int, use: str) -> list[int]:
    """A number for each source that depends on its content, the seed and the use; equal sources are told apart."""
    seen: dict[str, int] = {}
    salts = []
    for take in takes:
        occurrence = seen[take.identity] = seen.get(take.identity, -1) + 1
        # The second copy of a source chooses the same rows as the first, and only their places differ.
        text = f"{use}/{seed}/{take.identity}/{0 if use == 'choose' else occurrence}"
        salts.append(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))
    return salts


def _keys(salt: int, num_rows: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A pseudo-random 64-bit key for each row number: SplitMix64 started at `salt` (Steele et al. 2014).

    Spelled out, because numpy promises no stable stream between its versions.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        state = np.arange(1, num_rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys: np.ndarray[Any, np.dtype[np.uint64]] = state ^ (state >> np.uint64(31))
        return keys


def _concatenate(rows: Sequence[Rows]) -> Order:
    import numpy as np

    if not rows:
        return Order(np.empty(0, np.int64), np.empty(0, np.int64))
    source = np.concatenate([np.full(len(some), number, np.int64) for number, some in enumerate(rows)])
    return Order(source, np.concatenate(rows).astype(np.int64))


def _picked(order: Order, which: Any) -> Order:
    return Order(order.source[which], order.row[which])
