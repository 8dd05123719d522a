from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from align_cli.evals.arena import logs
from align_cli.evals.arena.battles import Winner
from align_cli.evals.arena.control import control_style, side_of
from align_cli.evals.arena.ratings import rate
from align_cli.evals.arena.style import Style
from tests.evals.arena.building import battle, battles, drawn, said
from tests.evals.arena.conftest import Table


def test_ratings_and_effects_are_those_of_fastchats_style_control(
    arena_data: Path, table: Callable[[str], Table]
) -> None:
    expected = {row["model"]: float(row["fastchat_style_control"]) for row in table("style_expected.csv")}
    coefficients = json.loads((arena_data / "style_coefs.json").read_text())["fastchat_style_coefs"]

    found = control_style(logs.read(arena_data / "style_battles.jsonl").battles)

    assert found is not None
    assert {one.model: one.rating for one in found.ratings.models} == pytest.approx(expected, abs=0.1)
    assert [effect.value for effect in found.effects.values()] == pytest.approx(coefficients, abs=1e-4)
    assert list(found.effects) == ["length", "headers", "lists", "bold"]


def test_longer_answers_that_win_for_their_length_lose_their_lead() -> None:
    chance = random.Random(5)
    given = []
    for _ in range(2000):
        styles = {"long": Style(chance.uniform(300, 600), 0, 0, 0), "short": Style(chance.uniform(100, 400), 0, 0, 0)}
        a, b = chance.sample(sorted(styles), 2)
        more = (styles[a].tokens - styles[b].tokens) / (styles[a].tokens + styles[b].tokens + 1)
        winner = "model_a" if chance.random() < 1 / (1 + math.exp(-3 * more)) else "model_b"
        given.append(battle(a, b, winner, style_a=styles[a], style_b=styles[b]))

    found = control_style(given)

    assert found is not None
    assert found.effects["length"].low > 0
    assert list(found.effects) == ["length"]  # no two answers differ in the others
    controlled = {one.model: one.rating for one in found.ratings.models}
    plain = {one.model: one.rating for one in rate(given).models}
    assert plain["long"] - plain["short"] > 100
    assert abs(controlled["long"] - controlled["short"]) < 40


def test_battles_whose_answers_are_not_known_are_not_in_it() -> None:
    known = [
        battle(turns_a=said("Hi", "one two three " * length), turns_b=said("Hi", "one"), winner=winner)
        for length, winner in ((1, "model_a"), (2, "model_b"), (3, "tie"))
    ]

    found = control_style([*known, battle(), battle()])

    assert found is not None
    assert found.battles == 3
    assert control_style([battle()]) is None


def test_a_leaning_to_one_side_is_found_and_kept_apart_from_the_models() -> None:
    chance = random.Random(2)
    given = [
        # A third of all votes go to the first answer whatever it says.
        replace(one, winner="model_a") if chance.random() < 1 / 3 else one
        for one in drawn({"a": 0.5, "b": 0.0, "c": -0.5}, 3000, ties=0.0)
    ]

    side = side_of(given)

    assert side.share == pytest.approx(2 / 3, abs=0.03)
    assert side.is_clear
    assert side.points is not None
    assert side.points.low > 60


def test_a_strong_model_that_always_stands_first_is_no_leaning() -> None:
    given = drawn({"a": 2.0, "b": 0.0, "c": -2.0}, 2000, ties=0.0)
    other: dict[str, Winner] = {"model_a": "model_b", "model_b": "model_a"}
    turned = [
        one
        if one.model_a < one.model_b
        else replace(one, model_a=one.model_b, model_b=one.model_a, winner=other[one.winner])
        for one in given
    ]

    side = side_of(turned)

    assert side.share is not None
    assert side.share > 0.8
    assert side.points is not None
    assert side.points.low < 0 < side.points.high


def test_ties_alone_tell_nothing_of_sides() -> None:
    side = side_of(battles(("a", "b", "tie", 5)))

    assert (side.share, side.low, side.points, side.is_clear) == (None, None, None, False)
