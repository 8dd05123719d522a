"""Battles: two games about the same two answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.evals.judgments import Judgment
from align_cli.evals.mtbench import BENCHMARK
from align_cli.evals.report.material import Material
from align_cli.evals.report.pairs import Pair, battles_of, pairs_of
from tests.evals.report.building import battle, benchmark, evaluation, game, questions, report
from tests.evals.report.conftest import Imported

ASKED = questions(8)
VERDICTS = ("a", "b", "tie", None)


def fought(*games: Judgment) -> list[Pair]:
    material = Material(benchmark=benchmark(ASKED), questions=ASKED, judge=None, subjects=(), games=games)
    return pairs_of(battles_of(material), material)


@pytest.mark.parametrize(
    ("first", "second", "result", "leaning"),
    [
        ("a", "a", 1, 0),
        ("b", "b", -1, 0),
        ("tie", "tie", 0, 0),
        ("a", "b", 0, 1),  # each shown first wins
        ("b", "a", 0, -1),
        ("a", "tie", 0, 1),
        ("tie", "b", 0, 1),
        ("tie", "a", 0, -1),
        ("b", "tie", 0, -1),
    ],
)
def test_a_model_wins_a_battle_that_it_wins_in_both_orders(first: str, second: str, result: int, leaning: int) -> None:
    material = Material(
        benchmark=benchmark(ASKED), questions=ASKED, judge=None, subjects=(), games=battle("a", "b", 0, first, second)
    )

    (found,) = battles_of(material)

    assert (found.result, found.leaning) == (result, leaning)


def test_rates_are_shares_of_the_battles_that_count() -> None:
    (found,) = fought(
        *battle("a", "b", 0, "a", "a"),
        *battle("a", "b", 1, "b", "b"),
        *battle("a", "b", 2, "a", "b"),
        *battle("a", "b", 3, "tie", "tie"),
        *battle("a", "b", 4, "a", None),
        game(("a", "b"), 5, "a"),
    )

    assert (found.battles, found.unreadable, found.unfinished) == (6, 1, 1)
    assert [one.value for one in (found.rates.win, found.rates.tie, found.rates.loss)] == [0.25, 0.5, 0.25]
    assert found.rates.adjusted.value == 0.5
    assert [one.value for one in (found.consistent, found.leans_first, found.leans_second)] == [0.75, 0.25, 0.0]


def test_a_battle_whose_games_came_from_either_models_side_is_one_battle() -> None:
    """The second game, asked for when the other model was judged, may call itself a first one."""
    (found,) = fought(game(("a", "b"), 0, "a"), game(("b", "a"), 0, "a", number=1, key="other"))

    assert (found.model, found.battles, found.rates.win.value) == ("a", 1, 1.0)


def test_a_battle_that_was_fought_twice_counts_twice() -> None:
    (found,) = fought(
        *battle("a", "b", 0, "a", "a"),
        game(("a", "b"), 0, "b", time=2),
        game(("b", "a"), 0, "b", number=2, time=2),
    )

    assert (found.battles, found.rates.win.value, found.rates.loss.value) == (2, 0.5, 0.5)


def test_games_from_different_prompts_are_not_mixed() -> None:
    (found,) = fought(
        game(("a", "b"), 0, "a", prompt="pair-v2"), game(("b", "a"), 0, "a", number=2, prompt="pair-math-v1")
    )

    assert (found.battles, found.unfinished) == (2, 2)


def test_of_several_pairs_each_model_is_reported_against_all_others() -> None:
    found = fought(*battle("a", "b", 0, "a", "a"), *battle("a", "c", 0, "c", "c"), *battle("b", "c", 1, "tie", "tie"))

    standings = {one.model: one.rates.adjusted.value for one in found if not one.opponent}
    assert [(one.model, one.opponent) for one in found if one.opponent] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert standings == {"a": 0.5, "b": 0.25, "c": 0.75}


@settings(max_examples=40, deadline=None)
@given(verdicts=st.lists(st.tuples(st.sampled_from(VERDICTS), st.sampled_from(VERDICTS)), min_size=1, max_size=8))
def test_what_one_model_wins_the_other_loses(verdicts: list[tuple[str | None, str | None]]) -> None:
    games = [one for number, both in enumerate(verdicts) for one in battle("a", "b", number, *both)]
    other = battle("a", "c", 0, "a", "a")  # so that each model is reported alone

    standings = {one.model: one for one in fought(*games, *other) if not one.opponent}
    found = next(one for one in fought(*games, *other) if one.opponent == "b")

    assert standings["b"].rates.win.value == found.rates.loss.value
    assert standings["b"].leans_first.value == found.leans_first.value
    if found.rates.win.n:
        shares = (found.rates.win, found.rates.tie, found.rates.loss)
        assert sum(one.value or 0.0 for one in shares) == pytest.approx(1.0)
        assert (standings["b"].rates.adjusted.value or 0.0) + (found.rates.adjusted.value or 0.0) == pytest.approx(1.0)


def test_games_that_lie_in_both_folders_count_once(tmp_path: Path) -> None:
    games = battle("a", "b", 0, "a", "a")
    held = [evaluation(tmp_path / name, name, games) for name in ("a", "b")]

    assert report(held, ASKED).pairs[0].battles == 1


def test_stored_battles_give_the_counts_of_the_original(imported: Imported, asked: list) -> None:
    """75 rows of FastChat, two of them with an error: counted by hand from the file's g1_winner and g2_winner."""
    (found,) = report(imported("phi3_stefanstud"), asked, benchmark=BENCHMARK).pairs

    assert (found.model, found.opponent, found.battles, found.unreadable) == ("phi-3", "phi-3-dpo", 75, 2)
    assert [one.value for one in (found.rates.win, found.rates.tie, found.rates.loss)] == [18 / 73, 35 / 73, 20 / 73]
    assert found.rates.adjusted.value == pytest.approx((18 + 35 / 2) / 73)
    assert [one.value for one in (found.consistent, found.leans_first, found.leans_second)] == [
        46 / 73,
        24 / 73,
        3 / 73,
    ]
