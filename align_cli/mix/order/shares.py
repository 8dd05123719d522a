"""How a total is dealt out to sources by weights: exact arithmetic on whole numbers and fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

_DIGITS = 40  # of a root; far more than decide a row, and the same on every machine


def parts(total: int, weights: Sequence[Fraction]) -> list[int]:
    """Whole numbers that add up to `total` and are as near to the weights' shares of it as whole numbers can be.

    Hamilton's method: every source gets the floor of its share, and those with the largest remainders one more; of
    equal remainders the earlier source's. All weights 0 give 0 to all.
    """
    together = sum(weights)
    if not together:
        return [0] * len(weights)
    quotas = [total * weight / together for weight in weights]
    found = [math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda number: found[number] - quotas[number])
    for number in by_remainder[: total - sum(found)]:
        found[number] += 1
    return found


def largest_total(weights: Sequence[Fraction], sizes: Sequence[int]) -> int:
    """The largest total of which no source's share is more than its size."""
    together = sum(weights)
    totals = [size * together / weight for weight, size in zip(weights, sizes, strict=True) if weight]
    return math.floor(min(totals, default=Fraction(0)))


def smallest_total(weights: Sequence[Fraction], sizes: Sequence[int]) -> int:
    """The smallest total of which every source's share is at least its size."""
    together = sum(weights)
    totals = [size * together / weight for weight, size in zip(weights, sizes, strict=True) if weight]
    return math.ceil(max(totals, default=Fraction(0)))


def tempered(sizes: Sequence[int], temperature: float) -> list[Fraction]:
    """Weights proportional to size ** (1 / temperature).

    In decimal arithmetic, which gives the same digits everywhere; the machine's own `pow` does not.
    """
    if temperature == 1:
        return [Fraction(size) for size in sizes]
    import decimal

    context = decimal.Context(prec=_DIGITS + 10, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)
    power = context.divide(decimal.Decimal(1), decimal.Decimal(str(temperature)))
    largest = max(sizes, default=0)
    found = []
    for size in sizes:
        part = context.divide(decimal.Decimal(size), decimal.Decimal(max(largest, 1)))
        grown = context.power(part, power) if size else decimal.Decimal(0)
        found.append(Fraction(int(grown.scaleb(_DIGITS, context).to_integral_value(context=context))))
    return found
