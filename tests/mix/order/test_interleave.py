from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.mix.order.interleave import turns


@given(st.lists(st.integers(0, 40), max_size=7))
def test_every_prefix_holds_the_shares_to_within_tijdemans_bound(sizes: list[int]) -> None:
    found = turns(sizes).tolist()

    total, taken, others = sum(sizes), [0] * len(sizes), len(sizes) - sizes.count(0) - 1
    bound = 1 - Fraction(1, 2 * others) if others > 0 else 0
    for position, source in enumerate(found, 1):
        taken[source] += 1
        for number, size in enumerate(sizes):
            assert abs(taken[number] - Fraction(position * size, total)) <= bound
    assert taken == sizes


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([0, 0], []),
        ([3], [0, 0, 0]),
        ([2, 2], [0, 1, 0, 1]),
        ([3, 1], [0, 0, 1, 0]),
        ([1, 0, 2], [2, 0, 2]),
    ],
)
def test_sources_take_turns(sizes: list[int], expected: list[int]) -> None:
    assert turns(sizes).tolist() == expected


def test_a_lone_row_stands_in_the_middle() -> None:
    position = turns([999, 1]).tolist().index(1)

    assert position == 500
