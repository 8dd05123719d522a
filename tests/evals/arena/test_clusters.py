"""Intervals where votes of one rater are no independent ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from align_cli.errors import UsageError
from align_cli.evals.arena import report
from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.control import control_style
from align_cli.evals.arena.ratings import POINTS, Method, rate
from tests.evals.arena.building import battle, battles, drawn, said

STRENGTHS = {"a": 0.8, "b": 0.3, "c": 0.0, "d": -1.1}
BY_RATER = Method(cluster_by_rater=True)
T_11 = 2.200985160082949  # the 97.5 % quantile of Student's t with 11 degrees of freedom, as in any table
Z = 1.959963984540054


def by_raters(given: Sequence[Battle], number: int) -> list[Battle]:
    return [replace(one, rater=f"rater {place % number}") for place, one in enumerate(given)]


def directly(given: Sequence[Battle], found: Any, num_raters: int) -> Any:
    """Liang & Zeger's covariance of the ratings, a vote at a time."""
    names = [one.model for one in found.models]
    logits = np.array([(one.rating - 1000) / POINTS for one in found.models])
    bend = np.eye(len(names)) * 1e-5 * len(given)
    scores = {f"rater {number}": np.zeros(len(names)) for number in range(num_raters)}
    for one in given:
        row = np.zeros(len(names))
        row[names.index(one.model_a)], row[names.index(one.model_b)] = 1, -1
        chance = 1 / (1 + np.exp(-row @ logits))
        bend += chance * (1 - chance) * np.outer(row, row)
        scores[one.rater] += (one.score_a - chance) * row
    middle = sum(np.outer(score, score) for score in scores.values()) * num_raters / (num_raters - 1)
    inverse = np.linalg.inv(bend)
    return POINTS**2 * inverse @ middle @ inverse


def test_the_covariance_is_that_of_the_raters_summed_scores() -> None:
    given = by_raters(drawn(STRENGTHS, 600), 12)

    found = rate(given, BY_RATER)

    expected = directly(given, found, 12)
    assert found.covariance * (Z / T_11) ** 2 == pytest.approx(expected, rel=1e-6)
    half = T_11 * np.sqrt(np.diag(expected))
    assert [one.high - one.rating for one in found.models] == pytest.approx(half, rel=1e-6)


def test_ratings_stay_where_they_are() -> None:
    given = by_raters(drawn(STRENGTHS, 300), 9)

    assert [one.rating for one in rate(given, BY_RATER).models] == pytest.approx(
        [one.rating for one in rate(given).models]
    )


def test_raters_with_one_vote_each_are_independent_votes() -> None:
    given = by_raters(drawn(STRENGTHS, 500), 500)

    plain, clustered = rate(given), rate(given, BY_RATER)

    # 500 / 499, and t with 499 degrees of freedom for z: 1.9647 / 1.9600
    assert clustered.covariance == pytest.approx(plain.covariance * 500 / 499 * (1.96473 / Z) ** 2, rel=1e-4)


def test_a_rater_who_says_the_same_ten_times_says_it_once() -> None:
    once = by_raters(drawn(STRENGTHS, 120), 40)
    often = [replace(one, id=f"{one.id} {time}") for one in once for time in range(10)]

    narrow, wide = rate(often), rate(often, BY_RATER)

    assert wide.covariance == pytest.approx(rate(once, BY_RATER).covariance, rel=1e-4)
    assert narrow.models[0].high - narrow.models[0].low < (wide.models[0].high - wide.models[0].low) / 2


def test_a_vote_of_nobody_known_is_nobody_elses() -> None:
    given = drawn(STRENGTHS, 300)
    one_known = [replace(given[0], rater="ann"), *given[1:]]

    assert rate(one_known, BY_RATER).covariance == pytest.approx(rate(by_raters(given, 300), BY_RATER).covariance)


@pytest.mark.parametrize(
    ("number", "why"),
    [(1, "1 rater cannot tell"), (3, "3 raters cannot tell how sure ratings of 4 models"), (0, "nothing is known")],
)
def test_fewer_raters_than_models_are_refused(number: int, why: str) -> None:
    given = drawn(STRENGTHS, 100)

    with pytest.raises(UsageError, match=why):
        rate(by_raters(given, number) if number else given, BY_RATER)


def test_style_and_sides_are_clustered_too_and_few_raters_are_told() -> None:
    texts = [said("Hi", "word " * (5 + 7 * place % 31)) for place in range(62)]
    given = by_raters(
        [replace(one, turns_a=texts[place % 62], turns_b=texts[(3 * place + 1) % 62])
         for place, one in enumerate(drawn(STRENGTHS, 300))], 6,
    )  # fmt: skip

    plain, clustered = (report.make(given, method, left_out={}) for method in (Method(), BY_RATER))

    assert clustered.style is not None
    assert plain.style is not None
    assert clustered.style.effects["length"].value == pytest.approx(plain.style.effects["length"].value)
    assert clustered.style.effects["length"].low != pytest.approx(plain.style.effects["length"].low, rel=1e-3)
    assert clustered.side.points is not None
    assert plain.side.points is not None
    assert clustered.side.points.low != pytest.approx(plain.side.points.low, rel=1e-3)
    assert any("rest on 6 raters" in note for note in clustered.notes)
    assert not any("rest on" in note for note in plain.notes)
    assert control_style([battle()], by_rater=True) is None


def test_a_model_that_always_wins_has_an_interval_by_rater_too() -> None:
    found = rate(by_raters(battles(("a", "b", "model_a", 30)), 5), BY_RATER)

    assert found.is_held
    assert found.models[0].low <= found.models[0].rating <= found.models[0].high


def test_style_is_left_out_where_too_few_raters_answers_are_known() -> None:
    given = by_raters(drawn(STRENGTHS, 60), 6)
    given += [
        replace(one, turns_a=said("Hi", "Ho"), turns_b=said("Hi", "Ho ho"), rater="ann") for one in drawn(STRENGTHS, 9)
    ]

    assert report.make(given, BY_RATER, left_out={}).style is None
    assert report.make(given, left_out={}).style is not None


@pytest.mark.parametrize(("taste", "is_told"), [(0.0, False), (1.5, True)])
def test_that_raters_differ_in_taste_is_told(taste: float, *, is_told: bool) -> None:
    chance = random.Random(5)
    given = []
    for number in range(20):
        own = {name: value + chance.gauss(0, taste) for name, value in STRENGTHS.items()}
        given += [replace(one, rater=f"rater {number}") for one in drawn(own, 60, seed=number)]

    made = report.make(given, left_out={})

    assert any("Raters differ in what they like" in note for note in made.notes) is is_told
