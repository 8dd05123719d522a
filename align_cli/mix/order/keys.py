"""Pseudo-random keys of rows: what a native mixture chooses and shuffles by.

A row's key depends on the content of its source, its place in it, the seed and the use of the key, and on nothing
else. Rows that come and go, in this source or another, leave the other rows' keys, and so their order, alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    from align_cli.mix.order.orders import Rows

    Keys = np.ndarray[Any, np.dtype[np.uint64]]

Use = Literal["choose", "hold out", "order"]

_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def salts(identities: Sequence[str], seed: int, use: Use) -> list[int]:
    """A number for each source that depends on its content, the seed and the use.

    A source that is listed twice chooses and holds out the same rows both times, and only their order differs.
    """
    seen: dict[str, int] = {}
    found = []
    for identity in identities:
        occurrence = seen[identity] = seen.get(identity, -1) + 1
        text = f"{use}/{seed}/{identity}/{occurrence if use == 'order' else 0}"
        found.append(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))
    return found


def keys(salt: int, places: Rows, copies: Rows | None = None) -> Keys:
    """A 64-bit key for each place: SplitMix64 started at `salt` (Steele et al. 2014), the place-th output from 0.

    `copies` tells how often each row came before; each repetition has a key of its own. Spelled out here, because
    numpy promises no stable stream between its versions.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        found = _mixed((places.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN) + np.uint64(salt))
        if copies is None:
            return found
        again = _mixed(found + copies.astype(np.uint64) * np.uint64(_GOLDEN))
        return np.where(copies > 0, again, found)


def _mixed(state: Keys) -> Keys:
    import numpy as np

    state = (state ^ (state >> np.uint64(30))) * np.uint64(_FIRST)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(_SECOND)
    mixed: Keys = state ^ (state >> np.uint64(31))
    return mixed
