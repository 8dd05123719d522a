from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from align_cli.errors import DataError
from align_cli.evals.arena import chart, page
from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.ratings import Method, rate
from align_cli.evals.arena.report import Report, make
from align_cli.evals.report.drawing import Mark, Outline, Words, svg
from tests.evals.arena.building import battle, battles, drawn, said

STRENGTHS = {"a": 0.8, "b": 0.3, "c": 0.0, "d": -1.1}


def made(given: list[Battle] | None = None, **facts: object) -> Report:
    return make(given or drawn(STRENGTHS, 600), left_out={}, **facts)  # type: ignore[arg-type]


def with_raters(given: list[Battle]) -> list[Battle]:
    return [
        replace(one, rater=f"r{number % 3}", item=str(number // 3), seconds=5.0) for number, one in enumerate(given)
    ]


def test_the_report_is_json_with_numbers_of_few_digits() -> None:
    document = json.loads(json.dumps(made(with_raters(drawn(STRENGTHS, 300))).as_dict(), allow_nan=False))

    assert document["format"] == 1
    assert [one["model"] for one in document["models"]] == ["a", "b", "c", "d"]
    assert {"rating", "low", "high", "rank", "battles", "share"} <= {*document["models"][0]}
    assert len(document["pairs"]) == 6
    assert {"better", "other", "further_votes", "is_separated"} <= {*document["pairs"][0]}
    assert len(document["raters"]) == 3
    assert set(document["side"]["points"]) == {"value", "low", "high"}
    assert not re.search(r"\.\d{5}", json.dumps(document["models"]))


def test_nothing_to_rate_is_an_error_that_says_what_was_left_out() -> None:
    with pytest.raises(DataError) as caught:
        make([], left_out={"the models' names were shown before the vote": 7}, method=Method())

    assert "7 left out" in caught.value.hint


def test_groups_that_never_met_are_noted() -> None:
    notes = made(battles(("a", "b", "tie", 40), ("c", "d", "tie", 40))).notes

    assert any("a and b; c and d" in note for note in notes)


def test_a_model_that_only_won_is_noted() -> None:
    assert any("infinity" in note for note in made(battles(("a", "b", "model_a", 40))).notes)


def test_leaks_are_noted_and_can_be_left_out() -> None:
    told = [battle("a", "b", turns_a=said("Hi", "I am ChatGPT"), turns_b=said("Hi", "Hello")) for _ in range(5)]
    given = [*battles(("a", "b", "model_a", 20), ("a", "b", "model_b", 20)), *told]

    kept, without = made(given), made(given, with_leaks=False)

    assert any("5 battles an answer names" in note for note in kept.notes)
    assert len(without.battles) == 40
    assert without.as_dict()["left_out"] == {"an answer names a model": 5}
    assert not any("names a model or its maker" in note for note in without.notes)


def test_good_battles_need_no_notes() -> None:
    assert made().notes == []


def test_the_page_holds_every_model_and_loads_nothing() -> None:
    text = page.page(made(with_raters(drawn(STRENGTHS, 300))))

    assert all(f'<th scope="row" class="s{number}">{name}</th>' in text for number, name in enumerate("abcd"))
    assert "<script" not in text
    assert not re.search(r"""(?:src|href)=["'](?!#)""", text)
    assert "{{" not in text


def test_names_on_the_page_are_inert() -> None:
    evil = "<img src=x onerror=alert(1)>"
    report = made(
        [
            replace(one, rater=evil, item="1")
            for one in battles((evil, "{{notes}}", "model_a", 3), (evil, "{{notes}}", "model_b", 2))
        ]
    )

    text = page.page(report)

    assert "<img" not in text
    assert "{{notes}}" in text


def test_the_page_of_the_same_battles_is_the_same() -> None:
    given = with_raters(drawn(STRENGTHS, 200))

    assert page.page(made(given)) == page.page(made(list(reversed(given))))


def test_the_chart_has_a_mark_within_its_interval_for_every_model() -> None:
    models = rate(drawn(STRENGTHS, 300)).models

    drawing = chart.drawn(models)

    marks = [shape for shape in drawing.shapes if isinstance(shape, Mark)]
    lines = [shape for shape in drawing.shapes if isinstance(shape, Outline) and shape.series is not None]
    assert [mark.series for mark in marks] == [0, 1, 2, 3]
    for mark in marks:
        line = next(one for one in lines if one.series == mark.series)
        assert line.points[0].x < mark.at.x < line.points[1].x
    assert [mark.at.x for mark in marks] == sorted((mark.at.x for mark in marks), reverse=True)
    assert all(0 <= shape.at.x <= drawing.width for shape in drawing.shapes if isinstance(shape, Words))


def test_far_ratings_are_drawn_too() -> None:
    models = rate(battles(("a", "b", "model_a", 9000), ("b", "c", "model_a", 9000))).models

    assert svg(chart.drawn(models)).startswith("<svg")
