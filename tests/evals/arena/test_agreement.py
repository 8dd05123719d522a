from __future__ import annotations

import random
from pathlib import Path

import pytest

from align_cli.evals.arena import logs
from align_cli.evals.arena.agreement import agreement, raters
from align_cli.evals.arena.battles import Battle
from tests.evals.arena.building import battle


def votes(*rows: tuple[str, str, str]) -> list[Battle]:
    """`(item, rater, winner)`, a against b."""
    return [battle("a", "b", winner, item=item, rater=rater) for item, rater, winner in rows]


def test_those_who_always_agree_have_alpha_one_even_if_one_model_always_wins() -> None:
    found = agreement(votes(*((item, rater, "model_a") for item in "12" for rater in ("ann", "bo"))))

    assert (found.num_units, found.compared, found.agreed, found.share, found.alpha) == (2, 2, 2, 1.0, 1.0)


def test_the_side_on_which_a_model_stood_makes_no_difference() -> None:
    left = battle("a", "b", "model_a", item="1", rater="ann")
    right = battle("b", "a", "model_b", item="1", rater="bo")

    found = agreement([left, right])

    assert found.share == 1.0


def test_alpha_by_hand() -> None:
    # Units aa, ab both ways round: values +,+ | +,- | -,- | -,+ ; n = 8, n+ = n- = 4.
    # D_o = (1/8)(2 + 2) = 1/2; D_e = 2·4·4 / (8·7) = 4/7; α = 1 - 7/8.
    same = votes(("1", "ann", "model_a"), ("1", "bo", "model_a"))
    apart = votes(("2", "ann", "model_a"), ("2", "bo", "model_b"))

    found = agreement([*same, *apart])

    assert found.alpha == pytest.approx(1 / 8)


def test_alpha_does_not_depend_on_what_models_are_called() -> None:
    chance = random.Random(1)
    outcomes = ["model_a", "model_a", "model_b", "tie"]
    given = votes(*((str(item), f"r{rater}", chance.choice(outcomes)) for item in range(20) for rater in range(3)))
    turned = [battle("z", "b", one.winner, item=one.item, rater=one.rater) for one in given]

    assert agreement(turned).alpha == pytest.approx(agreement(given).alpha)


def test_alpha_of_the_crowd_is_that_of_the_package(arena_data: Path) -> None:
    krippendorff = pytest.importorskip("krippendorff", reason="needs krippendorff")
    import numpy as np

    given = logs.read(arena_data / "llmfao.csv").battles
    names = {name: number for number, name in enumerate(sorted({one.rater for one in given}))}
    units: dict[tuple[str, str, str], dict[int, float]] = {}
    for one in given:
        first, second = sorted((one.model_a, one.model_b))
        value = (one.score_a - 0.5) * (1 if one.model_a == first else -1)
        units.setdefault((one.item, first, second), {})[names[one.rater]] = value
    ratings = np.full((len(names), 2 * len(units)), np.nan)
    for place, unit in enumerate(units.values()):
        for rater, value in unit.items():
            ratings[rater, 2 * place], ratings[rater, 2 * place + 1] = value, -value

    expected = krippendorff.alpha(reliability_data=ratings, level_of_measurement="nominal")

    assert agreement(given).alpha == pytest.approx(expected, abs=1e-9)


def test_a_rater_who_votes_on_the_same_again_counts_once() -> None:
    again = [
        battle(winner="model_b", item="1", rater="ann", tstamp=1.0),
        battle(winner="model_a", item="1", rater="ann", tstamp=2.0),
        battle(winner="model_a", item="1", rater="bo", tstamp=1.5),
    ]

    found = agreement(again)

    assert (found.compared, found.agreed, found.num_replaced) == (1, 1, 1)


def test_votes_without_item_or_rater_cannot_be_compared() -> None:
    found = agreement([battle(), battle(rater="ann"), battle(item="1")])

    assert (found.share, found.alpha) == (None, None)


def test_how_each_rater_votes() -> None:
    given = [
        *votes(("1", "ann", "model_a"), ("2", "ann", "tie"), ("3", "ann", "both_bad"), ("4", "ann", "model_b")),
        *votes(("1", "bo", "model_a"), ("4", "bo", "model_a")),
        battle(rater="ann", seconds=4.0),
        battle(rater="ann", seconds=8.0),
        battle(),
    ]

    ann, bo = raters(given)

    assert (ann.name, ann.battles, ann.ties, ann.both_bad, ann.wins_a) == ("ann", 6, 2, 1, 3)
    assert (ann.share_a, ann.compared, ann.agreed, ann.seconds) == (0.75, 2, 1, 6.0)
    assert (bo.battles, bo.share_agreed, bo.seconds) == (2, 0.5, None)
