"""Lengths, preferences and win rates by length as drawings."""

from __future__ import annotations

import random
import re
from xml.etree import ElementTree

import pytest

from align_cli.evals.alpacaeval import drawings
from align_cli.evals.alpacaeval.length_control import Row
from align_cli.evals.report.drawing import Drawing, Mark, Outline, Point, Words, svg


def rows(count: int, seed: int = 0) -> list[Row]:
    """The longer answer is preferred; the last instruction has no verdict."""
    drawn = random.Random(seed)
    found = []
    for number in range(count):
        ours, theirs = drawn.randrange(50, 4000), drawn.randrange(50, 4000)
        found.append(Row(f"instruction {number}", 0.9 if ours > theirs else 0.1, ours, theirs))
    return [*found[:-1], found[-1]._replace(preference=None)]


def texts(drawing: Drawing) -> list[str]:
    return [shape.text for shape in drawing.shapes if isinstance(shape, Words)]


def bars(drawing: Drawing, series: int) -> list[Point]:
    """The corners of a model's histogram."""
    (found,) = (
        shape.points
        for shape in drawing.shapes
        if isinstance(shape, Outline) and shape.series == series and shape.is_closed
    )
    return list(found)


def heights(points: list[Point]) -> list[float]:
    """Of the bars, as shares of the tallest."""
    base = max(point.y for point in points)
    found = [base - point.y for point in points[1:-1:2]]
    return [round(one / max(found), 3) for one in found]


@pytest.mark.parametrize("models", range(1, 9))
def test_every_drawing_lies_inside_its_edges(models: int) -> None:
    held = {f"{'long' * 12} name {number}": rows(200, number) for number in range(models)}

    for drawing in drawings.of(held, "the reference " * 5):
        points = [point for shape in drawing.shapes if isinstance(shape, Outline) for point in shape.points]
        points += [shape.at for shape in drawing.shapes if not isinstance(shape, Outline)]
        assert all(0 <= point.x <= drawing.width and 0 <= point.y <= drawing.height for point in points)


def test_the_same_verdicts_give_the_same_bytes_and_they_are_xml() -> None:
    held = {"<a> & b": rows(300), "c": rows(300, 1)}

    made, again = ([svg(one, is_alone=True) for one in drawings.of(held, "r")] for _ in range(2))

    assert made == again
    assert len(made) == 3
    for one in made:
        ElementTree.fromstring(one)


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawings.of({}, "r") == []
    assert drawings.of({"a": []}, "r") == []
    assert len(drawings.of({"a": [Row("i", None, 10, 20)]}, "r")) == 1


@pytest.mark.parametrize(
    "row", [Row("i", 1.0, 0, 0), Row("i", 0.0, 1, 1), Row("i", 0.5, 0, 90_000), Row("i", 1.0, 10**6, 1)]
)
def test_one_verdict_of_any_lengths_can_be_drawn(row: Row) -> None:
    for drawing in drawings.of({"a": [row]}, "r"):
        assert "nan" not in svg(drawing)
        assert "inf" not in re.findall(r'(?:points|x|y|height)="([^"]*)"', svg(drawing))


def test_a_model_keeps_its_number_where_another_has_no_verdicts() -> None:
    for drawing in drawings.of({"empty": [], "other": rows(100)}, "r"):
        numbers = {shape.series for shape in drawing.shapes if not isinstance(shape, Mark)} - {None}
        assert numbers == {1}


def test_lengths_say_the_medians_and_count_an_answer_once() -> None:
    held = [Row("a", 1.0, 100, 1000), Row("a", 0.0, 100, 1000), Row("b", None, 300, 1000), Row("c", 1.0, 900, 4000)]

    drawing = drawings.lengths({"m": held}, "theirs")

    assert drawing is not None
    assert "median 300" in texts(drawing)
    assert "reference: theirs, median 1,000" in texts(drawing)
    assert "m: median 300, the middle half from 200 to 600" in drawing.title
    assert heights(bars(drawing, 0)).count(1.0) == 3
    # 100 and 4,000 are the ends of the axis; 1,000 stands where it should between them.
    ticks = {shape.text: shape.at.x for shape in drawing.shapes if isinstance(shape, Words) and shape.tone == "quiet"}
    assert ticks["1,000"] - ticks["500"] == pytest.approx(ticks["200"] - ticks["100"], abs=0.01)


def test_draws_are_a_bar_of_their_own_and_in_no_bin() -> None:
    preferences = [0.0] * 4 + [0.5] * 2 + [0.51] * 2 + [1.0, 1.0]
    drawing = drawings.preferences({"m": [Row(str(n), one, 9, 9) for n, one in enumerate(preferences)]})

    assert drawing is not None
    assert "won 40.0%, drawn 20.0%" in texts(drawing)
    assert "lost 40.0%" in drawing.title
    assert heights(bars(drawing, 0)) == [1.0, *[0.0] * 9, 0.5, *[0.0] * 8, 0.5]
    (draws,) = (
        shape.points
        for shape in drawing.shapes
        if isinstance(shape, Outline) and shape.series == 0 and len(shape.points) == 2 and shape.width == 5
    )
    base, top = draws
    assert base.x == top.x
    assert base.y - top.y == pytest.approx((max(one.y for one in bars(drawing, 0)) - bars(drawing, 0)[1].y) / 2)


def test_win_rates_are_of_parts_of_one_size_with_their_counts() -> None:
    held = [Row(str(n), float(n >= 40), 100 + n, 100) for n in range(80)]

    drawing = drawings.win_rates_by_length({"m": held})

    assert drawing is not None
    assert "2 marks of 40" in texts(drawing)
    marks = [shape for shape in drawing.shapes if isinstance(shape, Mark) and shape.title != "m"]
    assert [mark.title for mark in marks] == [
        "m: 0% of 40 answers 1 to 1.4 times as long",
        "m: 100% of 40 answers 1.4 to 1.8 times as long",
    ]
    assert marks[0].at.x < marks[1].at.x
    assert marks[0].at.y > marks[1].at.y
