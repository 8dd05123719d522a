"""What the page shows for a view, and how a view becomes an address."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.evals.report.embedded import data_of
from tests.evals.report.building import alone, answer, answers, battle, evaluation, questions, referring, report
from tests.evals.report.scripts import ran

ASKED = questions(6, ("writing", "maths"))
USUAL = {
    "q": "", "text": "", "category": "", "turn": 0, "state": "", "result": "", "low": "", "high": "", "order": "asked",
    "models": None, "reference": True, "all": False, "plain": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Model a is good at even questions, b at odd ones; b was not judged on 5, and its answer to 4 was cut."""
    place = tmp_path_factory.mktemp("view")
    theirs = [one for one in answers(ASKED) if (one.question_id, one.turn) != (4, 1)] + [answer(4, 1, state="length")]
    held = [
        evaluation(
            place / "a",
            "a",
            [alone("a", number, turn, 9.0 - 5 * (number % 2)) for number in range(6) for turn in (1, 2)]
            + battle("a", "b", 0, "a", "a")
            + battle("a", "b", 3, "a", "b"),
            answers(ASKED),
        ),
        evaluation(
            place / "b",
            "b",
            [alone("b", number, turn, 2.0 + 6 * (number % 2)) for number in range(5) for turn in (1, 2) if number != 2]
            + [alone("b", 2, turn, None, text="an unreadable one") for turn in (1, 2)],
            theirs,
        ),
    ]
    return data_of(report(held, ASKED))


def shown(data: dict[str, Any], models: list[int] | None = None, **view: Any) -> list[str]:
    expression = "questionsFound(given.data, given.view, given.models).map((one) => one.id)"
    found: list[str] = ran(expression, {"data": data, "view": {**USUAL, **view}, "models": models or [0, 1]})
    return found


def test_everything_is_shown_as_it_was_asked(data: dict[str, Any]) -> None:
    assert shown(data) == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ({"category": "maths"}, ["1", "3", "5"]),
        ({"state": "lost"}, ["2"]),
        ({"state": "unjudged"}, ["5"]),
        ({"state": "cut"}, ["4"]),
        ({"state": "unanswered"}, []),
        ({"state": "contradicting"}, ["3"]),
        ({"state": "consistent"}, ["0"]),
        ({"low": "9"}, ["0", "2", "4"]),
        ({"high": "2"}, ["0", "4"]),
        ({"low": "7.5", "high": "8.5"}, ["1", "3"]),
        ({"low": "no number"}, ["0", "1", "2", "3", "4", "5"]),
        ({"text": "AN UNREADABLE"}, ["2"]),
        ({"text": "question 4, turn 2"}, ["4"]),
        ({"text": "question 4, turn 2", "turn": 1}, []),
        ({"text": "answer 3/1"}, ["3"]),
        ({"category": "maths", "state": "unjudged"}, ["5"]),
    ],
)
def test_filters_leave_what_they_name(data: dict[str, Any], view: dict[str, Any], expected: list[str]) -> None:
    assert shown(data, **view) == expected


def test_filters_look_at_the_shown_models_only(data: dict[str, Any]) -> None:
    best, other = (next(n for n, one in enumerate(data["models"]) if one["name"] == name) for name in "ab")

    assert shown(data, [best], state="lost") == []
    assert shown(data, [other], low="9") == []


@pytest.mark.parametrize(
    ("order", "first"),
    [("apart", {"0", "4"}), ("low", {"1", "3"}), ("contradicting", {"3"})],
)
def test_orders_bring_forward_what_they_name(data: dict[str, Any], order: str, first: set[str]) -> None:
    """a is 9 and b 2 on 0 and 4; a is 4 on 5 and nobody judged b there, and on 1 and 3 they are 4 and 8."""
    found = shown(data, order=order)

    if order == "low":
        assert found[0] == "5"
    else:
        assert set(found[: len(first)]) == first
    assert sorted(found) == ["0", "1", "2", "3", "4", "5"]


def test_one_model_ahead_of_the_other_comes_first_in_its_order(data: dict[str, Any]) -> None:
    assert data["models"][0]["name"] == "a"
    assert set(shown(data, order="first")[:2]) == {"0", "4"}
    assert set(shown(data, order="second")[:2]) == {"1", "3"}


@pytest.fixture(scope="module")
def against(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Preferences from 0 to 100 of a and b, in this order, against a reference; nobody judged b on 3."""
    asked = questions(6, turns=1)
    preferences = {"a": (90.0, 50.0, 45.0, 2.0, 60.0, 75.0), "b": (80.0, 10.0, 50.0, None, 30.0, 40.0)}
    held = [
        evaluation(
            tmp_path_factory.mktemp("against") / name,
            name,
            [alone(name, number, 1, score) for number, score in enumerate(scores) if score is not None],
            answers(asked),
        )
        for name, scores in preferences.items()
    ]
    return data_of(report(held, asked, benchmark=referring(asked)))


@pytest.mark.parametrize(
    ("result", "models", "expected"),
    [
        ("won", [0], ["0", "4", "5"]),
        ("lost", [0], ["2", "3"]),
        ("drawn", [0], ["1"]),
        ("lost", [0, 1], ["1", "2", "3", "4", "5"]),
        ("lost.1", [0, 1], ["1", "4", "5"]),
        ("drawn.1", [0, 1], ["2"]),
        ("lost.1", [0], ["0", "1", "2", "3", "4", "5"]),
        ("lost", [], ["0", "1", "2", "3", "4", "5"]),
        ("nonsense.x", [0], ["0", "1", "2", "3", "4", "5"]),
    ],
)
def test_results_against_the_reference_are_of_the_shown_models(
    against: dict[str, Any], result: str, models: list[int], expected: list[str]
) -> None:
    expression = "questionsFound(given.data, given.view, given.models).map((one) => one.id)"
    view = {**USUAL, "result": result}

    assert ran(expression, {"data": against, "view": view, "models": models}) == expected


def test_a_score_on_its_own_is_neither_won_nor_lost(data: dict[str, Any]) -> None:
    assert shown(data, result="lost") == ["0", "1", "2", "3", "4", "5"]


def test_a_single_model_differs_most_where_its_answer_is_furthest_from_a_draw(against: dict[str, Any]) -> None:
    assert shown(against, [0], order="apart") == ["3", "0", "5", "4", "2", "1"]
    assert shown(against, [1], order="apart") == ["1", "0", "4", "5", "2", "3"]
    assert shown(against, [0], order="low")[:2] == ["3", "2"]
    assert shown(against, [0], order="high")[:2] == ["0", "5"]


def test_two_models_differ_from_each_other_whatever_the_reference_is(against: dict[str, Any]) -> None:
    """By 10, 40, 5, nothing that could be said, 30, 35."""
    assert shown(against, [0, 1], order="apart") == ["1", "5", "4", "0", "2", "3"]


def test_without_a_reference_a_single_model_differs_from_nothing(data: dict[str, Any]) -> None:
    assert shown(data, [0], order="apart") == ["0", "1", "2", "3", "4", "5"]


@settings(max_examples=6, deadline=None)
@given(
    views=st.lists(
        st.fixed_dictionaries(
            {
                "q": st.text(),
                "text": st.text(),
                "category": st.text(),
                "turn": st.sampled_from([0, 1, 2]),
                "state": st.sampled_from(["", "lost"]),
                "result": st.sampled_from(["", "won", "lost.2"]),
                "low": st.sampled_from(["", "3", "4.5"]),
                "high": st.sampled_from(["", "7"]),
                "order": st.sampled_from(["asked", "apart"]),
                "models": st.none() | st.lists(st.sampled_from([0, 1, 2, 3]), unique=True).map(sorted),
                "reference": st.booleans(),
                "all": st.booleans(),
                "plain": st.booleans(),
            }
        ),
        min_size=20,
    )
)
def test_an_address_brings_its_view_back(views: list[dict[str, Any]]) -> None:
    given = {"views": views, "data": {"turns": [1, 2], "models": [{}, {}, {}, {}]}}

    assert ran("given.views.map((one) => viewOf(hashOf(one), given.data))", given) == views


@pytest.mark.parametrize(
    "address", ["", "#", "#reading", "#models=7.x.-1&turn=9", "#q", "#low=%", "#models=", "#all=yes&order="]
)
def test_an_address_that_means_nothing_is_a_view_all_the_same(data: dict[str, Any], address: str) -> None:
    view = "viewOf(given.address, given.data)"
    expression = f"questionsFound(given.data, {view}, shownModels({view}, given.data)).length"

    assert ran(expression, {"address": address, "data": data}) == 6


def test_of_many_models_the_best_and_the_one_compared_with_are_shown() -> None:
    models = [{"is_against": number == 5} for number in range(7)]

    assert ran("shownModels(given.view, given.data)", {"view": USUAL, "data": {"models": models}}) == [0, 1, 5]
