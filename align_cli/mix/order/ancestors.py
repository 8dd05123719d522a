"""The ancestors' ways to mix, row for row, on the installed numpy.

- `handbook-2023`: of each source the first `int(fraction * n)` rows, concatenated, shuffled with the seed (42 there);
  evaluation rows whole, concatenated and shuffled likewise.
- `handbook-2025`: each source shuffled with the seed, its first `int(weight * n)` rows, concatenated, shuffled again;
  evaluation rows by `datasets`' train_test_split with the same seed.
- `trl`: fractions are target shares, normalised; the mixture is as large as it can be without repeating a row; first
  rows of each source, concatenated, not shuffled; train_test_split, for which TRL gives no seed and we do.

Their rows are all rows of a source, malformed ones too: those were chosen first and failed or were filtered later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from align_cli.mix.order import amounts
from align_cli.mix.order.amounts import AmountError, Take, Wish
from align_cli.mix.order.orders import Chosen, Order, concatenated, picked

if TYPE_CHECKING:
    from align_cli.mix.order.orders import Rows


def _handbook_2023(takes: Sequence[Take], wish: Wish) -> Chosen:
    import numpy as np

    together = concatenated([np.arange(amounts.limit(take, number, binary=True)) for number, take in enumerate(takes)])
    shuffled = picked(together, permutation(wish.seed, len(together.row)))
    return _split(shuffled, wish)


def _handbook_2025(takes: Sequence[Take], wish: Wish) -> Chosen:
    import numpy as np

    rows = []
    for number, take in enumerate(takes):
        count = amounts.limit(take, number, binary=True)
        shuffle = take.fraction is not None if take.shuffle is None else take.shuffle
        rows.append(permutation(wish.seed, take.available)[:count] if shuffle else np.arange(count))
    together = concatenated(rows)
    shuffled = picked(together, permutation(wish.seed, len(together.row)))
    return _split(shuffled, wish)


def _trl(takes: Sequence[Take], wish: Wish) -> Chosen:
    import numpy as np

    fractions = [take.fraction for take in takes]
    given = [fraction for fraction in fractions if fraction is not None]
    if given and len(given) < len(takes):
        missing = fractions.index(None)
        raise AmountError("a fraction must be given for every source or for none", source=missing)
    if given:
        if min(given) < 0 or sum(given) <= 0:
            raise AmountError("fractions are shares of the mixture: none below 0, and not all 0")
        weights = [fraction / sum(given) for fraction in given]
        total = min(take.available / weight for take, weight in zip(takes, weights, strict=True) if weight > 0)
        counts = [round(weight * total) for weight in weights]
    else:
        counts = [amounts.limit(take, number) for number, take in enumerate(takes)]
    return _split(concatenated([np.arange(count) for count in counts]), wish)


CHOOSE: Mapping[str, Callable[[Sequence[Take], Wish], Chosen]] = {
    "handbook-2023": _handbook_2023,
    "handbook-2025": _handbook_2025,
    "trl": _trl,
}


def whole_and_shuffled(takes: Sequence[Take], wish: Wish) -> Order:
    """The evaluation rows of 2023: never cut, shuffled like the training rows."""
    import numpy as np

    whole = concatenated([np.arange(take.available) for take in takes])
    return picked(whole, permutation(wish.seed, len(whole.row)))


def permutation(seed: int, num_rows: int) -> Rows:
    """The order into which `datasets.Dataset.shuffle(seed=seed)` brings rows."""
    import numpy as np

    found: Rows = np.random.default_rng(seed).permutation(num_rows)
    return found


def _split(order: Order, wish: Wish) -> Chosen:
    """`datasets.Dataset.train_test_split(test_size=held_out, seed=seed)`."""
    count = _held_out_count(wish.held_out, len(order.row))
    if not count:
        return Chosen(order, picked(order, slice(0, 0)))
    permuted = permutation(wish.seed, len(order.row))
    return Chosen(picked(order, permuted[count:]), picked(order, permuted[:count]))


def _held_out_count(held_out: float | int | None, num_rows: int) -> int:
    """Below 1 a share, rounded up as `datasets` does; from 1 on a count."""
    if held_out is None:
        return 0
    if held_out < 0 or (held_out >= 1 and held_out != int(held_out)):
        raise AmountError(f"held_out is {held_out:g}", "write a share below 1 or a count of rows")
    count = math.ceil(held_out * num_rows) if held_out < 1 else int(held_out)
    if count >= num_rows and count:
        raise AmountError(
            f"held_out asks for {count:,} of {num_rows:,} rows, which leaves nothing to train on",
            "hold out fewer rows",
        )
    return count
