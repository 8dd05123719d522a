from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from align_cli.errors import UsageError
from align_cli.evals.arena import logs, ratings
from align_cli.evals.arena.ratings import POINTS, Anchor, Method, Ratings, rate
from tests.evals.arena.building import battles, drawn
from tests.evals.arena.conftest import Table

STRENGTHS = {"a": 0.8, "b": 0.3, "c": 0.0, "d": -1.1}


def by_model(found: Ratings) -> dict[str, float]:
    return {one.model: one.rating for one in found.models}


def test_two_models_are_as_far_apart_as_their_odds_say() -> None:
    # 30 wins, 10 losses: odds of 3, so 400 · log10(3) points, half of them on either side of the mean
    found = rate(battles(("a", "b", "model_a", 30), ("b", "a", "model_a", 10)))

    half = 200 * math.log10(3)
    assert by_model(found) == pytest.approx({"a": 1000 + half, "b": 1000 - half})


def test_a_tie_is_half_a_win_whichever_kind_it_is() -> None:
    found = rate(battles(("a", "b", "model_a", 10), ("a", "b", "tie", 10), ("b", "a", "both_bad", 20)))

    # (10 + 15) of 40
    half = 200 * math.log10(25 / 15)
    assert by_model(found) == pytest.approx({"a": 1000 + half, "b": 1000 - half})


def test_an_interval_without_ties_is_the_information_of_the_votes() -> None:
    # Of two models, the sandwich is 1 / (n p (1 - p)) for the difference, and a rating is half of it.
    found = rate(battles(("a", "b", "model_a", 300), ("a", "b", "model_b", 100)))

    spread = 1 / math.sqrt(400 * 0.75 * 0.25)
    assert found.models[0].high - found.models[0].rating == pytest.approx(1.96 * spread / 2 * POINTS, rel=1e-3)


def test_ties_narrow_the_interval() -> None:
    decided = rate(battles(("a", "b", "model_a", 200), ("a", "b", "model_b", 200)))
    tied = rate(battles(("a", "b", "model_a", 50), ("a", "b", "model_b", 50), ("a", "b", "tie", 300)))

    wide, narrow = (one.models[0].high - one.models[0].low for one in (decided, tied))
    assert narrow == pytest.approx(wide / 2, rel=1e-3)  # a quarter of the variance of a score


def test_the_order_of_battles_makes_no_difference() -> None:
    given = drawn(STRENGTHS, 400)
    mixed = random.Random(3).sample(given, len(given))
    method = Method(interval="bootstrap", rounds=50)

    assert rate(mixed, method).models == rate(given, method).models


def test_renaming_the_sides_makes_no_difference() -> None:
    given = drawn(STRENGTHS, 300)
    other = {"model_a": "model_b", "model_b": "model_a"}
    turned = [
        replace(one, model_a=one.model_b, model_b=one.model_a, winner=other.get(one.winner, one.winner))  # type: ignore[arg-type]
        for one in given
    ]

    assert by_model(rate(turned)) == pytest.approx(by_model(rate(given)))


def test_ratings_find_the_strengths_that_made_the_votes() -> None:
    found = rate(drawn(STRENGTHS, 20_000, ties=0.0))

    mean = sum(STRENGTHS.values()) / len(STRENGTHS)
    for one in found.models:
        assert one.low - 15 < 1000 + POINTS * (STRENGTHS[one.model] - mean) < one.high + 15
    assert [one.model for one in found.models] == ["a", "b", "c", "d"]


def test_the_bootstrap_agrees_with_the_sandwich() -> None:
    given = drawn(STRENGTHS, 3_000)

    closed = rate(given)
    again = rate(given, Method(interval="bootstrap", rounds=1000))

    for one, other in zip(closed.models, again.models, strict=True):
        assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=3)


def test_an_anchor_moves_all_ratings_alike() -> None:
    given = drawn(STRENGTHS, 500)

    free, held = rate(given), rate(given, Method(anchor=Anchor("c", 1114)))

    assert by_model(held)["c"] == pytest.approx(1114)
    moves = {round(by_model(held)[name] - rating, 6) for name, rating in by_model(free).items()}
    assert len(moves) == 1
    assert [one.rank for one in held.models] == [one.rank for one in free.models]


def test_an_anchor_that_is_no_model_is_refused() -> None:
    with pytest.raises(UsageError, match="nobody"):
        rate(drawn(STRENGTHS, 20), Method(anchor=Anchor("nobody", 1)))


def test_models_that_cannot_be_told_apart_share_a_rank() -> None:
    found = rate(
        battles(
            ("a", "b", "model_a", 52), ("a", "b", "model_b", 48), ("a", "c", "model_a", 95), ("a", "c", "model_b", 5),
            ("b", "c", "model_a", 95), ("b", "c", "model_b", 5),
        )
    )  # fmt: skip

    assert [(one.model, one.rank) for one in found.models] == [("a", 1), ("b", 1), ("c", 3)]


@pytest.mark.parametrize("interval", ratings.INTERVALS)
def test_a_model_that_won_everything_has_a_finite_rating_and_it_is_said(interval: ratings.Interval) -> None:
    found = rate(
        battles(("a", "b", "model_a", 8), ("b", "c", "model_a", 5), ("c", "b", "model_a", 4)),
        Method(interval=interval, rounds=100),
    )

    assert found.is_held
    assert found.models[0].model == "a"
    assert all(abs(one.rating) < 2500 and math.isfinite(one.low + one.high) for one in found.models)


def test_a_round_in_which_a_model_won_everything_is_counted_and_stays_finite() -> None:
    given = battles(
        ("a", "b", "model_a", 12), ("b", "a", "model_a", 1), ("b", "c", "model_a", 5), ("c", "b", "model_a", 4)
    )

    found = rate(given, Method(interval="bootstrap", rounds=300))

    # the one defeat is not drawn in (1 - 1/22)^22 of the rounds, 36 %
    assert not found.is_held
    assert 80 < found.num_held_rounds < 140
    assert all(abs(one.high) < 2500 for one in found.models)


def test_groups_that_never_met_are_told() -> None:
    found = rate(battles(("a", "b", "model_a", 3), ("b", "a", "model_a", 2), ("c", "d", "tie", 4)))

    assert found.groups == (("a", "b"), ("c", "d"))


def test_one_model_alone_is_at_the_mean() -> None:
    found = rate(battles(("a", "b", "tie", 1)))

    assert {one.rating for one in found.models} == {1000.0}


def test_counts_are_of_either_side() -> None:
    found = rate(
        battles(("a", "b", "model_a", 3), ("b", "a", "model_a", 2), ("b", "a", "tie", 4), ("a", "b", "both_bad", 1))
    )

    a = next(one for one in found.models if one.model == "a")
    assert (a.battles, a.wins, a.losses, a.ties, a.both_bad) == (10, 3, 2, 5, 1)
    assert a.share == pytest.approx(0.55)


def test_crowd_ratings_are_those_of_fastchat_and_lmarena(arena_data: Path, table: Callable[[str], Table]) -> None:
    expected = {row["model"]: row for row in table("llmfao_expected.csv")}

    found = rate(logs.read(arena_data / "llmfao.csv").battles)

    assert len(found.models) == len(expected) == 59
    for one in found.models:
        row = expected[one.model]
        assert one.rating == pytest.approx(float(row["fastchat_bt"]), abs=0.1)
        assert one.rating == pytest.approx(float(row["arena_rank_ratings"]), abs=0.1)
        assert (one.low, one.high) == pytest.approx(
            (float(row["arena_rank_rating_lower"]), float(row["arena_rank_rating_upper"])), abs=0.1
        )


def test_crowd_intervals_are_fastchats_when_models_are_numbered_as_it_does(
    arena_data: Path, table: Callable[[str], Table]
) -> None:
    # FastChat draws cells in the order in which models appear; ours are sorted by name, so appearance goes into names.
    given = logs.read(arena_data / "llmfao.csv").battles
    order = {
        name: number
        for number, name in enumerate(dict.fromkeys([b.model_a for b in given] + [b.model_b for b in given]))
    }
    renamed = [
        replace(one, model_a=f"{order[one.model_a]:02}/{one.model_a}", model_b=f"{order[one.model_b]:02}/{one.model_b}")
        for one in given
    ]
    expected = {row["model"]: row for row in table("llmfao_expected.csv")}

    found = rate(renamed, Method(interval="bootstrap", rounds=100))

    for one in found.models:
        row = expected[one.model.partition("/")[2]]
        bounds = float(row["fastchat_boot100_q025"]), float(row["fastchat_boot100_q975"])
        assert (one.low, one.high) == pytest.approx(bounds, abs=0.1)


@pytest.mark.parametrize("name", ["llmfao", "food", "simple"])
def test_strengths_are_evalicas(arena_data: Path, table: Callable[[str], Table], name: str) -> None:
    expected = {
        row["item"]: float(row["score"]) for row in table(f"{name}-golden.csv") if row["algorithm"] == "bradley_terry"
    }

    found = rate(logs.read(arena_data / f"{name}.csv").battles)

    strengths = {one.model: math.exp((one.rating - 1000) / POINTS) for one in found.models}
    total = sum(strengths.values())
    assert {model: value / total for model, value in strengths.items()} == pytest.approx(expected, rel=1e-4)


def test_strengths_of_drawn_votes_are_evalicas() -> None:
    evalica = pytest.importorskip("evalica", reason="needs evalica")
    given = drawn(STRENGTHS, 500)
    names = {"model_a": evalica.Winner.X, "model_b": evalica.Winner.Y}

    theirs = evalica.bradley_terry(
        [one.model_a for one in given],
        [one.model_b for one in given],
        [names.get(one.winner, evalica.Winner.Draw) for one in given],
        tolerance=1e-12,
        limit=10_000,
    ).scores

    ours = by_model(rate(given))
    for name in STRENGTHS:
        assert ours[name] - ours["a"] == pytest.approx(POINTS * math.log(theirs[name] / theirs["a"]), abs=1e-3)
