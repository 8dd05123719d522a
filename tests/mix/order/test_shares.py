from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from align_cli.mix.order import shares

WEIGHTS = st.lists(st.fractions(0, 1, max_denominator=20), min_size=1, max_size=5)


@given(st.integers(0, 500), WEIGHTS)
def test_parts_add_up_and_are_the_shares_to_within_one(total: int, weights: list[Fraction]) -> None:
    assume(sum(weights))

    found = shares.parts(total, weights)

    quotas = [total * weight / sum(weights) for weight in weights]
    assert sum(found) == total
    assert all(abs(part - quota) < 1 for part, quota in zip(found, quotas, strict=True))


@given(st.integers(0, 60), st.lists(st.fractions(0, 1, max_denominator=9), min_size=2, max_size=3))
def test_no_other_whole_numbers_are_nearer(total: int, weights: list[Fraction]) -> None:
    assume(sum(weights))
    quotas = [total * weight / sum(weights) for weight in weights]

    def distance(counts: list[int]) -> Fraction:
        return sum((abs(count - quota) for count, quota in zip(counts, quotas, strict=True)), Fraction(0))

    found = shares.parts(total, weights)

    for taker in range(len(found)):
        for giver in range(len(found)):
            if taker != giver and found[giver]:
                moved = list(found)
                moved[taker] += 1
                moved[giver] -= 1
                assert distance(moved) >= distance(found)


def test_of_equal_remainders_the_earlier_source_gets_the_row() -> None:
    assert shares.parts(3, [Fraction(1, 2), Fraction(1, 2)]) == [2, 1]


@given(WEIGHTS, st.data())
def test_totals_are_the_last_without_and_the_first_with_every_row_repeated(
    weights: list[Fraction], data: st.DataObject
) -> None:
    assume(sum(weights))
    sizes = data.draw(st.lists(st.integers(1, 30), min_size=len(weights), max_size=len(weights)))
    asked = [(weight / sum(weights), size) for weight, size in zip(weights, sizes, strict=True) if weight]

    largest, smallest = shares.largest_total(weights, sizes), shares.smallest_total(weights, sizes)

    assert all(largest * part <= size for part, size in asked)
    assert any((largest + 1) * part > size for part, size in asked)
    assert all(smallest * part >= size for part, size in asked)
    assert any((smallest - 1) * part < size for part, size in asked)


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(1, [400, 100, 25]), (2, [20, 10, 5]), (0.5, [160000, 10000, 625]), (1e9, [1, 1, 1]), (1e-9, [1, 0, 0])],
)
def test_a_temperature_takes_the_root_of_the_sizes(temperature: float, expected: list[int]) -> None:
    found = shares.tempered([400, 100, 25], temperature)

    total = sum(found)
    assert [float(weight / total) for weight in found] == pytest.approx(
        [size / sum(expected) for size in expected], rel=1e-6
    )


def test_an_empty_source_has_no_weight() -> None:
    assert shares.tempered([4, 0], 2)[1] == 0
    assert shares.tempered([0, 0], 3) == [0, 0]
    assert shares.parts(0, shares.tempered([0, 0], 3)) == [0, 0]
