from __future__ import annotations

import math

import pytest

from align_cli.evals.arena.pairs import further_votes, pairs_of
from align_cli.evals.arena.ratings import rate
from tests.evals.arena.building import battles, drawn


def test_a_pair_tells_of_its_own_battles_from_either_side() -> None:
    given = battles(("b", "a", "model_b", 6), ("a", "b", "model_b", 3), ("a", "b", "both_bad", 2))

    (pair,) = pairs_of(given, rate(given))

    assert (pair.better, pair.other, pair.battles, pair.wins, pair.losses, pair.ties) == ("a", "b", 11, 6, 3, 2)
    assert pair.share == pytest.approx(7 / 11)
    assert pair.expected == pytest.approx(7 / 11)  # with two models the ratings say what the battles say


def test_models_that_never_met_are_compared_through_others() -> None:
    given = battles(
        ("a", "b", "model_a", 30), ("a", "b", "model_b", 10), ("b", "c", "model_a", 30), ("b", "c", "model_b", 10)
    )

    pair = next(one for one in pairs_of(given, rate(given)) if (one.better, one.other) == ("a", "c"))

    assert (pair.battles, pair.share) == (0, None)
    assert pair.difference == pytest.approx(800 * math.log10(3))
    assert pair.is_separated
    assert pair.further_votes == 0


def test_so_many_further_votes_of_the_same_kind_do_separate_two_models() -> None:
    given = battles(("a", "b", "model_a", 26), ("a", "b", "model_b", 18), ("a", "b", "tie", 16))
    (before,) = pairs_of(given, rate(given))
    assert not before.is_separated
    assert before.further_votes

    factor = 1 + before.further_votes / len(given)
    for times, is_separated in ((factor * 0.95, False), (factor * 1.05, True)):
        more = battles(
            ("a", "b", "model_a", round(260 * times)), ("a", "b", "model_b", round(180 * times)),
            ("a", "b", "tie", round(160 * times)),
        )  # fmt: skip
        (after,) = pairs_of(more, rate(more))
        # ten times the votes at √10 of the width, so that rounding to whole votes hardly matters
        assert (after.difference - (after.high - after.difference) * math.sqrt(10) > 0) == is_separated


def test_equal_models_cannot_be_separated() -> None:
    given = battles(("a", "b", "model_a", 10), ("a", "b", "model_b", 10))

    (pair,) = pairs_of(given, rate(given))

    assert pair.further_votes is None


def test_without_ties_the_votes_are_those_of_a_textbook() -> None:
    # equal models: a vote tells 1/4 about a logit, so (1.96/0.2)² · 4 in all, of which 1/0.04 · 4 are there
    assert further_votes(0.2, 0.04, win_chance=0.5, tie_share=0.0) == pytest.approx(
        ((1.96 / 0.2) ** 2 - 25) * 4, rel=1e-3
    )


def test_every_two_models_are_there_once_the_better_first() -> None:
    given = drawn({"a": 1.0, "b": 0.0, "c": -1.0, "d": -2.0}, 2000)

    found = pairs_of(given, rate(given))

    assert [(one.better, one.other) for one in found] == [
        ("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")
    ]  # fmt: skip
    assert all(one.difference >= 0 for one in found)
    assert sum(one.battles for one in found) == 2000
