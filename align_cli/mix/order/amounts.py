"""What is wanted of a source and of a mixture, and how many of a source's rows that is."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from align_cli.recipe.schema import Arrangement, Combine, Mixture, Source
from align_cli.recipe.understood import instead_of_fraction

if TYPE_CHECKING:
    import numpy as np

    from align_cli.mix.order.orders import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """What one source offers and what is wanted of it; the words are those of `recipe.schema.Source`."""

    available: int
    """Rows on offer."""
    places: Rows | None = None
    """(available,) int64, ascending: the number of each row on offer in its source; None: 0, 1, 2, …"""
    fraction: float | None = None
    rows: int | None = None
    tokens: int | None = None
    share: float | None = None
    repeat: float | None = None
    shuffle: bool | None = None
    held_out: float | int | None = None
    identity: str = ""
    """Digest of the source's content, on which the native choice depends; the same for any path or name."""
    lengths: np.ndarray[Any, np.dtype[np.int64]] | None = None
    """(available,) int64: tokens of each row on offer; needed where tokens are asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is wanted of the mixture as a whole; the words are those of `recipe.schema.Mixture`."""

    combine: Combine = "native"
    seed: int = 42
    held_out: float | int | None = None
    rows: int | None = None
    tokens: int | None = None
    temperature: float | None = None
    oversample: bool = False
    order: Arrangement = "shuffled"

    @classmethod
    def of(cls, mixture: Mixture) -> Wish:
        """The mixture's own words."""
        return cls(**{field.name: getattr(mixture, field.name) for field in fields(cls)})


def wanted(source: Source) -> dict[str, Any]:
    """A source's own words, as a Take has them."""
    known = {field.name for field in fields(Take)}
    return {field.name: getattr(source, field.name) for field in fields(Source) if field.name in known}


class AmountError(Exception):
    """The wish cannot be met. `source` is the source's number, or None for the mixture as a whole."""

    def __init__(self, message: str, hint: str = "", source: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.source = source


def exact(value: float | int) -> Fraction:
    """The number as it was written: 0.29 is 29/100, not the nearest binary number."""
    return Fraction(str(value))


def limit(take: Take, number: int, *, binary: bool = False) -> int:
    """How many rows `fraction` or `rows` leave of a source: all, a share (floor) or a count.

    `binary` multiplies as the ancestors do, in floating point: 0.29 of 100 rows is 28 there.

    Raises:
        AmountError: an amount that no source, or not this one, can give.
    """
    if (take.fraction is not None) + (take.rows is not None) + (take.tokens is not None) > 1:
        raise AmountError("more than one of fraction, rows and tokens is given", "keep one of them", number)
    if take.rows is not None:
        if take.rows < 0:
            raise AmountError(f"rows is {take.rows:,}", "write a count from 0 on", number)
        if take.rows > take.available:
            raise AmountError(
                f"{take.rows:,} rows are asked for and {take.available:,} can be used",
                "take fewer rows, or leave rows out to take all; repeat: 2 trains on each of them twice",
                number,
            )
        return take.rows
    if take.fraction is None:
        return take.available
    if not 0 <= take.fraction <= 1:
        said = f"fraction is {take.fraction:g}; it is a share of the source's own rows, from 0 to 1"
        raise AmountError(said, instead_of_fraction(take.fraction), number)
    if binary:
        return int(take.fraction * take.available)
    return math.floor(exact(take.fraction) * take.available)
