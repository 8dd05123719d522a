"""Means with a bootstrap interval over questions."""

from __future__ import annotations

import random
from itertools import accumulate
from math import comb, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.evals.report.statistics import Row, mean

FEW = 400  # rounds; laws hold for any number

rows = st.lists(
    st.builds(
        Row,
        question=st.sampled_from([f"q{number}" for number in range(9)]),
        category=st.just("one"),
        value=st.integers(0, 20).map(lambda halves: halves / 2),
    ),
    max_size=30,
)


def binomial_quantile(share: float, trials: int, chance: float) -> int:
    """The least number whose distribution function reaches `share`."""
    terms = (comb(trials, hits) * chance**hits * (1 - chance) ** (trials - hits) for hits in range(trials + 1))
    return next(hits for hits, total in enumerate(accumulate(terms)) if total >= share)


def test_every_row_counts_the_same_however_many_a_question_has() -> None:
    found = mean([Row("81", "w", 8.0), Row("81", "w", 6.0), Row("82", "w", 1.0)])

    assert found.value == 5.0
    assert (found.n, found.num_questions) == (3, 2)


def test_there_is_no_mean_of_nothing_and_no_interval_of_one_question() -> None:
    nothing, one = mean([]), mean([Row("81", "w", 8.0), Row("81", "w", 6.0)])

    assert (nothing.value, nothing.low, nothing.high, nothing.n) == (None, None, None, 0)
    assert (one.value, one.low, one.high, one.n) == (7.0, None, None, 2)


def test_the_interval_of_shares_has_the_binomial_distributions_ends() -> None:
    """21 questions, 7 of them won: a round draws 20, so that its wins are binomial with 20 trials and chance 1/3."""
    found = mean(Row(f"q{number}", "w", float(number < 7)) for number in range(21))

    low, high = (binomial_quantile(share, 20, 1 / 3) / 20 for share in (0.025, 0.975))

    assert (low, high) == (0.15, 0.55)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_the_interval_is_as_wide_as_the_standard_error_of_many_categories_says() -> None:
    """Ten questions a category: sd/√n from the unbiased variances, times 1.96 for a sum of so many."""
    values = random.Random(7)
    given = [
        Row(f"{category}/{number}", f"{category}", values.gauss(5, 2)) for category in range(40) for number in range(10)
    ]
    found = mean(given)

    variances = []
    for category in range(40):
        some = [row.value for row in given if row.category == str(category)]
        middle = sum(some) / 10
        variances.append(sum((value - middle) ** 2 for value in some) / 9 / 10)
    expected = 1.96 * sqrt(sum(variances)) / 40

    assert found.half_width == pytest.approx(expected, rel=0.03)


def test_rows_of_one_question_do_not_count_as_independent() -> None:
    once = [Row(f"q{number}", "w", float(number % 2)) for number in range(20)]

    assert mean(once * 4).half_width == pytest.approx(mean(once).half_width)


def test_a_category_keeps_its_size_so_that_differences_between_categories_are_no_spread() -> None:
    found = mean(Row(f"{name}{number}", name, value) for name, value in (("a", 1.0), ("b", 9.0)) for number in range(5))

    assert (found.low, found.value, found.high) == (5.0, 5.0, 5.0)


def test_categories_of_one_question_are_drawn_from_together() -> None:
    apart = mean(Row(str(number), str(number), float(number % 3) * 5) for number in range(6))
    beside = mean([*(Row(str(number), "a", float(number % 3) * 5) for number in range(5)), Row("9", "b", 5.0)])

    assert apart.low < 5 < apart.high
    assert beside.low < 5 < beside.high


def test_the_interval_lies_about_the_values_that_were_seen() -> None:
    found = mean(Row(str(number), "a", 2.0 + 2 * (number % 2)) for number in range(6))

    assert 2.0 <= found.low < 3.0 < found.high <= 4.0


def test_few_questions_have_a_mean_and_no_interval() -> None:
    found = mean(Row(str(number), "a", 1.0) for number in range(4))

    assert (found.value, found.low, found.high) == (1.0, None, None)


@settings(max_examples=60, deadline=None)
@given(rows=rows, seed=st.integers(0, 5))
def test_the_order_of_rows_makes_no_difference(rows: list[Row], seed: int) -> None:
    shuffled = random.Random(seed).sample(rows, len(rows))

    assert mean(rows, rounds=FEW) == mean(shuffled, rounds=FEW)


@settings(max_examples=60, deadline=None)
@given(rows=rows)
def test_the_opposite_of_every_row_turns_the_interval_round(rows: list[Row]) -> None:
    found = mean(rows, rounds=FEW)
    turned = mean([row._replace(value=-row.value) for row in rows], rounds=FEW)

    if found.value is None or found.low is None:
        assert turned.low is None
    else:
        assert turned.value == pytest.approx(-found.value)
        assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


@settings(max_examples=60, deadline=None)
@given(rows=rows, constant=st.floats(-5, 5))
def test_a_constant_that_is_added_moves_everything_and_widens_nothing(rows: list[Row], constant: float) -> None:
    found = mean(rows, rounds=FEW)
    moved = mean([row._replace(value=row.value + constant) for row in rows], rounds=FEW)

    if found.low is not None:
        assert moved.low == pytest.approx(found.low + constant, abs=1e-9)
        assert moved.high == pytest.approx(found.high + constant, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(rows=rows, value=st.integers(0, 10))
def test_rows_that_are_all_alike_have_an_interval_without_width(rows: list[Row], value: int) -> None:
    found = mean([row._replace(value=float(value)) for row in rows], rounds=FEW)

    if found.low is not None:
        assert (found.low, found.high) == pytest.approx((value, value))


@settings(max_examples=60, deadline=None)
@given(rows=rows)
def test_an_interval_never_leaves_the_range_of_what_was_seen(rows: list[Row]) -> None:
    found = mean(rows, rounds=FEW)

    if found.low is not None:
        assert min(row.value for row in rows) - 1e-9 <= found.low <= found.high <= max(row.value for row in rows) + 1e-9


def test_another_seed_draws_otherwise_and_the_same_seed_the_same() -> None:
    given = [Row(f"q{number}", "w", float(number**2)) for number in range(15)]

    assert mean(given, seed=3) == mean(given, seed=3)
    assert mean(given, seed=3).low != mean(given, seed=4).low


def test_the_document_has_no_minus_zero_and_no_digits_that_another_machine_would_not_have() -> None:
    found = mean([Row("1", "a", 0.1), Row("2", "a", 0.2), Row("3", "a", -0.3)]).as_dict()

    assert str(found["value"]) == "0.0"
    assert all(len(str(found[key]).partition(".")[2]) <= 6 for key in ("value", "low", "high"))
