"""The native way to mix: laws about which rows are taken, how often, and in what order."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from align_cli.mix.order.arithmetic import AmountError, Order, Take, Wish, choose, choose_eval


def rows_of(order: Order, source: int = 0) -> list[int]:
    return [int(row) for row in order.row[order.source == source]]


def num_rows(order: Order) -> list[int]:
    return [int(count) for count in np.bincount(order.source)]


def taken_first(take: Take) -> list[int]:
    """A source's rows in the order in which it gives them: asked for one more each time."""
    plain = replace(take, fraction=None, tokens=None, repeat=None, held_out=None)
    found: list[int] = []
    for count in range(1, take.available + 1):
        rows = rows_of(choose([replace(plain, rows=count)], Wish()).train)
        found += set(rows) - set(found)
    return found


@st.composite
def sources(draw: st.DrawFn, name: str = "", *, amounts: bool = True) -> Take:
    places = draw(st.lists(st.integers(0, 50), min_size=1, max_size=25, unique=True).map(sorted))
    size = len(places)
    lengths = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    wanted: dict[str, Any] = {}
    if amounts:
        wanted = draw(
            st.one_of(
                st.just({}),
                st.fixed_dictionaries({"fraction": st.integers(0, 100).map(lambda percent: percent / 100)}),
                st.fixed_dictionaries({"rows": st.integers(1, size)}),
                st.fixed_dictionaries({"tokens": st.integers(max(lengths), max(lengths) * 10)}),
            )
        )
        assume(wanted.get("tokens", 1) <= sum(lengths) and wanted.get("tokens", 1) > 0)
        wanted["repeat"] = draw(st.none() | st.integers(100, 350).map(lambda percent: percent / 100))
        wanted["held_out"] = draw(st.none() | st.sampled_from([0, 0.1, 0.5]))
        wanted["shuffle"] = draw(st.none() | st.booleans())
    return Take(
        available=size,
        places=np.array(places),
        lengths=np.array(lengths),
        identity=name or draw(st.text(max_size=2)),
        **wanted,
    )


@given(sources("mine"), st.lists(sources(), max_size=3), st.integers(0, 9), st.sampled_from([None, 0.1, 0.34]))
def test_a_source_keeps_its_rows_when_others_come_and_go(
    take: Take, others: list[Take], seed: int, held_out: float | None
) -> None:
    wish = Wish(seed=seed, held_out=held_out)

    alone = choose([take], wish)
    first = choose([take, *others], wish)
    last = choose([*others, take], wish)

    for one, two, three in zip(alone, first, last, strict=True):
        assert rows_of(one) == rows_of(two) == rows_of(three, len(others))


@given(sources(amounts=False), st.data())
def test_a_row_that_is_filtered_out_changes_no_other_row_s_turn(take: Take, data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, take.available - 1))
    assert take.places is not None
    assume(take.available > 1)
    fewer = replace(take, available=take.available - 1, places=np.delete(take.places, gone), lengths=None)

    before = [int(take.places[row]) for row in taken_first(take)]
    assert fewer.places is not None
    after = [int(fewer.places[row]) for row in taken_first(fewer)]

    assert after == [place for place in before if place != take.places[gone]]


@given(sources(amounts=False), st.integers(1, 100))
def test_a_token_budget_is_the_longest_beginning_that_fits(take: Take, budget: int) -> None:
    lengths = take.lengths.tolist() if take.lengths is not None else []
    order = taken_first(take)
    sums = [sum(lengths[row] for row in order[:count]) for count in range(len(order) + 1)]
    expected = max(count for count, tokens in enumerate(sums) if tokens <= budget)

    if sums[-1] < budget or not expected:
        with pytest.raises(AmountError) as caught:
            choose([replace(take, tokens=budget)], Wish())
        assert caught.value.source == 0
    else:
        found = rows_of(choose([replace(take, tokens=budget)], Wish()).train)
        assert sorted(found) == sorted(order[:expected])


@given(sources(), st.sampled_from([None, 0.2, 2]))
def test_held_out_rows_are_never_trained_on_and_come_once(take: Take, held_out: float | int | None) -> None:
    once = replace(take, repeat=None, held_out=None)
    pool = rows_of(choose([once], Wish()).train)
    assume(len(pool) > 2)

    train, held = choose([take], Wish(held_out=held_out))

    assert not set(rows_of(train)) & set(rows_of(held))
    assert len(set(rows_of(held))) == len(held.row)
    if (take.repeat or 1) >= 1:
        assert sorted({*rows_of(train), *rows_of(held)}) == sorted(pool)
    share = held_out if take.held_out is None else take.held_out
    if share is not None and 0 < share < 1:
        assert len(held.row) == min(
            max(math.floor(Fraction(str(share)) * len(pool) + Fraction(1, 2)), 1), len(pool) - 1
        )
    elif share is None or not share:
        assert not len(held.row)


@given(sources(amounts=False), st.integers(100, 400).map(lambda percent: percent / 100), st.booleans())
def test_repeating_trains_on_the_first_rows_once_more(take: Take, repeat: float, shuffle: bool) -> None:
    take = replace(take, shuffle=shuffle)
    whole, part = divmod(Fraction(str(repeat)), 1)
    first = taken_first(take)[: math.floor(part * take.available)]

    counts = Counter(rows_of(choose([replace(take, repeat=repeat)], Wish()).train))

    assert counts == {row: int(whole) + (row in first) for row in range(take.available)}


def test_each_copy_has_a_place_of_its_own() -> None:
    train, _ = choose([Take(available=200, repeat=3)], Wish())

    rows = train.row.tolist()
    gaps = [[place for place, other in enumerate(rows) if other == row] for row in range(200)]
    assert len({third - second for _, second, third in gaps}) > 50
    assert rows[:200] != rows[200:400]


def test_the_first_copy_stands_where_the_only_one_stood() -> None:
    once, _ = choose([Take(available=50, identity="a")], Wish())
    twice, _ = choose([Take(available=50, identity="a", repeat=1.02)], Wish())

    rows = twice.row.tolist()
    again = next(row for row, count in Counter(rows).items() if count == 2)
    assert [row for row in rows if row != again] == [row for row in once.row.tolist() if row != again]


# -- shares, temperature, totals --------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 80), st.integers(1, 9)), min_size=1, max_size=4))
def test_shares_are_exact_and_the_mixture_as_large_as_it_can_be(wanted: list[tuple[int, int]]) -> None:
    whole = sum(weight for _, weight in wanted)
    takes = [Take(available=size, share=weight / whole, identity=str(size)) for size, weight in wanted]

    train, _ = choose(takes, Wish())

    counts = [len(rows_of(train, number)) for number in range(len(takes))]
    total = sum(counts)
    for number, (take, count) in enumerate(zip(takes, counts, strict=True)):
        assert abs(count - Fraction(str(take.share)) * total) < 1 + Fraction(1, 10**6)
        assert count <= take.available
        assert len(set(rows_of(train, number))) == count
    largest = max(n for n in range(sum(size for size, _ in wanted) + 1) if _fits(n, takes))
    assert total == largest


def _fits(total: int, takes: list[Take]) -> bool:
    together = sum(Fraction(str(take.share)) for take in takes)
    return all(total * Fraction(str(take.share)) / together <= take.available for take in takes)


def test_a_share_that_grows_only_adds_rows() -> None:
    few, _ = choose([Take(available=90, share=0.3, identity="a"), Take(available=90, share=0.7, identity="b")], Wish())
    more, _ = choose([Take(available=90, share=0.6, identity="a"), Take(available=90, share=0.4, identity="b")], Wish())

    assert set(rows_of(few)) < set(rows_of(more))


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (Wish(rows=100), [67, 33]),
        (Wish(temperature=1), [200, 100]),
        (Wish(rows=30, temperature=1), [20, 10]),
        (Wish(rows=200, temperature=1e9), [100, 100]),
        (Wish(temperature=1e9), [100, 100]),
        (Wish(temperature=1e9, oversample=True), [200, 200]),
        (Wish(rows=600, oversample=True), [400, 200]),
        (Wish(tokens=900), [300 // 5, 600 // 5]),
    ],
)
def test_totals_and_temperature(wish: Wish, expected: list[int]) -> None:
    lengths = np.full(200, 5), np.full(100, 20)
    takes = [
        Take(available=200, identity="a", lengths=lengths[0]),
        Take(available=100, identity="b", lengths=lengths[1]),
    ]

    train, _ = choose(takes, wish)

    if wish.tokens is not None:
        assert num_rows(train) == [60, 30]  # 1000 and 2000 tokens are there: 300 and 600 of 900
    else:
        assert num_rows(train) == expected


def test_shares_of_tokens() -> None:
    takes = [
        Take(available=100, share=0.5, identity="a", lengths=np.full(100, 10)),
        Take(available=100, share=0.5, identity="b", lengths=np.full(100, 30)),
    ]

    train, _ = choose(takes, Wish(tokens=1200))

    assert num_rows(train) == [60, 20]


def test_a_short_source_repeats_where_that_is_asked_for() -> None:
    takes = [Take(available=10, share=0.5, identity="a"), Take(available=100, share=0.5, identity="b")]

    train, _ = choose(takes, Wish(oversample=True))

    assert num_rows(train) == [100, 100]
    assert set(Counter(rows_of(train, 0)).values()) == {10}


@given(st.integers(1, 60), st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_a_token_budget_that_repeats_stays_within_the_budget(budget: int, lengths: list[int]) -> None:
    take = Take(available=len(lengths), share=1, lengths=np.array(lengths))
    order = taken_first(replace(take, share=None))
    expected, tokens = 0, 0
    while tokens + lengths[order[expected % len(order)]] <= budget:
        tokens += lengths[order[expected % len(order)]]
        expected += 1

    if not expected:
        with pytest.raises(AmountError):
            choose([take], Wish(tokens=budget, oversample=True))
    else:
        assert len(choose([take], Wish(tokens=budget, oversample=True)).train.row) == expected


def test_repeating_makes_room_for_a_share() -> None:
    takes = [Take(available=10, share=0.5, repeat=2, identity="a"), Take(available=100, share=0.5, identity="b")]

    train, _ = choose(takes, Wish())

    assert num_rows(train) == [20, 20]


@pytest.mark.parametrize(
    ("takes", "wish", "said", "source"),
    [
        ([Take(available=10, share=0.5), Take(available=99, share=0.5)], Wish(rows=50), "25 rows and it has 10", 0),
        (
            [Take(available=10), Take(available=10)],
            Wish(rows=50),
            "50 rows are asked for and the sources have 20",
            None,
        ),
        ([Take(available=10, share=1), Take(available=10)], Wish(), "not for this one", 1),
        ([Take(available=0, share=0.5), Take(available=9, share=0.5)], Wish(), "no row of it can be used", 0),
        ([Take(available=2, lengths=np.array([5, 5]))], Wish(tokens=11), "11 tokens and its 2 rows have 10", 0),
        ([Take(available=2, tokens=4, lengths=np.array([5, 5]))], Wish(), "no room for its first row", 0),
        ([Take(available=2, tokens=11, lengths=np.array([5, 5]))], Wish(), "11 tokens are asked for", 0),
        ([Take(available=2, repeat=0.5)], Wish(), "repeat is 0.5", 0),
        ([Take(available=2)], Wish(temperature=0), "temperature is 0", None),
        ([Take(available=2, held_out=2)], Wish(), "leaves nothing to train on", 0),
        (
            [Take(available=9, share=1e-10), Take(available=99, share=1)],
            Wish(oversample=True),
            "90,000,000,009 rows of 108",
            None,
        ),
    ],
)
def test_what_cannot_be_given_says_what_there_is(takes: list[Take], wish: Wish, said: str, source: int | None) -> None:
    with pytest.raises(AmountError, match=said) as caught:
        choose([replace(take, identity=str(number)) for number, take in enumerate(takes)], wish)

    assert caught.value.source == source


# -- held out ---------------------------------------------------------------------------------------------------------


def test_a_share_is_held_out_of_every_source_and_a_count_of_the_mixture() -> None:
    takes = [Take(available=100, identity="a"), Take(available=15, identity="b"), Take(available=1, identity="c")]

    assert num_rows(choose(takes, Wish(held_out=0.1)).held_out) == [10, 2]
    assert len(choose(takes, Wish(held_out=7)).held_out.row) == 7


def test_a_source_s_own_held_out_wins() -> None:
    takes = [Take(available=100, identity="a", held_out=3), Take(available=100, identity="b", held_out=0)]

    found = choose([*takes, Take(available=10, identity="c")], Wish(held_out=0.1)).held_out

    assert num_rows(found) == [3, 0, 1]


def test_a_source_that_is_listed_twice_leaks_no_held_out_row() -> None:
    takes = [Take(available=60, identity="a", fraction=0.5), Take(available=60, identity="a", repeat=2)]

    train, held = choose(takes, Wish(held_out=0.2))

    assert len(held.row)
    assert not set(train.row.tolist()) & set(held.row.tolist())


def test_shares_are_exact_after_holding_out() -> None:
    takes = [Take(available=100, share=0.25, identity="a"), Take(available=100, share=0.75, identity="b")]

    train, held = choose(takes, Wish(held_out=0.1))

    assert num_rows(held) == [10, 10]
    assert num_rows(train) == [30, 90]


# -- order ------------------------------------------------------------------------------------------------------------


@given(st.lists(sources(), min_size=1, max_size=4), st.sampled_from([None, 0.2]))
def test_the_order_changes_no_row(some: list[Take], held_out: float | None) -> None:
    found = [
        choose(some, Wish(order=order, held_out=held_out)) for order in ("shuffled", "interleaved", "concatenated")
    ]

    for orders in zip(*found, strict=True):
        pairs = [Counter(zip(order.source.tolist(), order.row.tolist(), strict=True)) for order in orders]
        assert pairs[0] == pairs[1] == pairs[2]
    train = found[2].train
    assert train.source.tolist() == sorted(train.source.tolist())
    for number in range(len(some)):
        assert rows_of(found[1].train, number) == rows_of(train, number)


def test_interleaved_prefixes_have_the_shares() -> None:
    takes = [Take(available=70, identity="a"), Take(available=20, identity="b"), Take(available=10, identity="c")]

    train, _ = choose(takes, Wish(order="interleaved"))

    assert [np.bincount(train.source[:count], minlength=3).tolist() for count in (10, 50)] == [[7, 2, 1], [35, 10, 5]]


def test_unshuffled_sources_keep_the_order_of_their_file() -> None:
    takes = [Take(available=5, identity="a", shuffle=False, repeat=2), Take(available=5, identity="b")]

    train, _ = choose(takes, Wish(order="concatenated"))

    assert rows_of(train, 0) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    assert rows_of(train, 1) != sorted(rows_of(train, 1))


def test_the_same_source_twice_is_not_interleaved_with_itself() -> None:
    take = Take(available=50, identity="x")

    train, _ = choose([take, take], Wish(order="interleaved"))

    assert rows_of(train, 0) != rows_of(train, 1)


def test_evaluation_rows_may_have_a_token_budget() -> None:
    order = choose_eval([Take(available=9, tokens=20, shuffle=False, lengths=np.full(9, 6))], Wish())

    assert order.row.tolist() == [0, 1, 2]


def test_no_source_makes_an_empty_mixture() -> None:
    for order in ("shuffled", "interleaved", "concatenated"):
        train, held = choose([], Wish(order=order))
        assert len(train.row) == len(held.row) == 0
