"""What the page shows for a view, and how a view becomes an address."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.evals.report.embedded import data_of
from tests.evals.report.building import alone, answer, answers, battle, evaluation, questions, report
from tests.evals.report.scripts import ran

ASKED = questions(6, ("writing", "maths"))
USUAL = {
    "q": "", "text": "", "category": "", "turn": 0, "state": "", "low": "", "high": "", "order": "asked",
    "models": None, "all": False, "plain": False,
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
                "low": st.sampled_from(["", "3", "4.5"]),
                "high": st.sampled_from(["", "7"]),
                "order": st.sampled_from(["asked", "apart"]),
                "models": st.none() | st.lists(st.sampled_from([0, 1, 2, 3]), unique=True).map(sorted),
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
