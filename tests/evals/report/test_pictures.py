"""The radar chart and the tables as pictures."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from math import hypot
from pathlib import Path

import pytest

from align_cli.errors import UsageError
from align_cli.evals.report import pictures, radar, table, tables
from align_cli.evals.report.drawing import Mark, Outline, Words, fitted, plain, svg, width_of
from align_cli.evals.report.radar import Radar, Series, drawn
from align_cli.evals.report.statistics import Estimate
from tests.evals.report.building import alone, answers, battle, evaluation, questions, report

NAMES = [f"category {number}" for number in range(12)]


def estimate(value: float | None) -> Estimate:
    return Estimate(value, None, None, 0 if value is None else 1, 1)


def chart(spokes: int = 4, models: int = 2, gap: bool = False) -> Radar:
    series = [
        Series(
            name=f"model {number}",
            values=[estimate(None if gap and spoke == 1 else 2.0 + number + spoke / 4) for spoke in range(spokes)],
        )
        for number in range(models)
    ]
    return Radar(title="t", spokes=NAMES[:spokes], series=series, scale=(0.0, 10.0), rings={5.0: "5", 10.0: "10"})


def texts(drawing: object) -> list[str]:
    return [shape.text for shape in drawing.shapes if isinstance(shape, Words)]


@pytest.mark.parametrize("spokes", range(3, 13))
def test_every_category_has_its_spoke_and_its_name_inside_the_picture(spokes: int) -> None:
    found = drawn(chart(spokes))

    for shape in found.shapes:
        if isinstance(shape, Words):
            wide = width_of(shape.text, shape.size)
            left = shape.at.x - {"start": 0.0, "middle": wide / 2, "end": wide}[shape.anchor]
            assert left >= 0
            assert left + wide <= found.width
            assert 0 < shape.at.y < found.height
    assert set(NAMES[:spokes]) <= set(texts(found))


def test_values_lie_on_their_spokes_at_their_height() -> None:
    """A quarter turn between four spokes, from the top, clockwise; half the scale is half the radius."""
    series = [Series(name="m", values=[estimate(value) for value in (10.0, 5.0, 2.5, 0.0)])]
    found = drawn(Radar(title="t", spokes=NAMES[:4], series=series, scale=(0.0, 10.0), rings={}))

    marks = [shape.at for shape in found.shapes if isinstance(shape, Mark)][:4]
    centre = marks[3]
    top, right, below = ((at.x - centre.x, at.y - centre.y) for at in marks[:3])

    radius = hypot(*top)
    assert top == pytest.approx((0, -radius))
    assert right == pytest.approx((radius / 2, 0))
    assert below == pytest.approx((0, radius / 4))


def test_a_category_without_a_value_leaves_a_gap() -> None:
    whole, torn = drawn(chart(5, 1)), drawn(chart(5, 1, gap=True))

    def lines(found: object) -> list[Outline]:
        return [shape for shape in found.shapes if isinstance(shape, Outline) and shape.series == 0]

    assert any(line.is_closed for line in lines(whole))
    assert not any(line.is_closed for line in lines(torn))
    assert (
        sum(isinstance(shape, Mark) for shape in torn.shapes)
        == sum(isinstance(shape, Mark) for shape in whole.shapes) - 1
    )


def test_ten_models_have_ten_looks_and_ten_names() -> None:
    found = drawn(chart(6, 10))
    text = svg(found)

    looks = {
        (shape.get("stroke"), shape.get("stroke-dasharray"))
        for shape in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}polygon")
        if shape.get("stroke", "").startswith("#")
    }
    assert len(looks) == 10
    assert {f"model {number}" for number in range(10)} <= set(texts(found))


def test_an_svg_is_well_formed_whatever_the_names_are() -> None:
    hostile = Radar(
        title="</title><script>&\x00\ud83c",
        spokes=['"><', "]]>", "\u202eturned"],
        series=[Series(name="<b>'\"", values=[estimate(3.0)] * 3)],
        scale=(0.0, 10.0),
        rings={},
    )

    found = ElementTree.fromstring(svg(drawn(hostile)).encode())

    assert [one.tag for one in found.iter() if one.tag.endswith("script")] == []
    assert "\u202e" not in svg(drawn(hostile))


def test_long_names_keep_both_ends() -> None:
    found = fitted("a-very-long-run-name-that-begins-alike-and-ends-in-epoch-3", 12, 120)

    assert found.startswith("a-very")
    assert found.endswith("epoch-3")
    assert width_of(found, 12) <= 120


def test_what_acts_instead_of_showing_is_replaced() -> None:
    assert plain("a\nb\t c\x1b[31m\u202e") == "a b c�[31m�"


@pytest.mark.parametrize("count", [1, 2, 25])
def test_too_few_or_too_many_categories_have_no_chart(tmp_path: Path, count: int) -> None:
    asked = questions(count, [f"c{number}" for number in range(count)], turns=1)
    held = evaluation(tmp_path / "m", "m", [alone("m", one.id, 1, 5.0) for one in asked], answers(asked))

    found = report([held], asked)

    assert radar.radar_of(found) is None
    assert pictures.picture_of(found, "radar") is None
    assert pictures.picture_of(found) is not None


def test_answers_that_were_judged_in_pairs_only_have_a_chart_of_win_rates(tmp_path: Path) -> None:
    asked = questions(6, ("x", "y", "z"), turns=1)
    games = [one for each in asked for one in battle("a", "b", each.id, "a", "a" if each.category == "x" else "b")]

    found = radar.radar_of(report([evaluation(tmp_path / "a", "a", games)], asked))

    assert found.scale == (0.0, 1.0)
    assert [one.value for one in found.series[0].values] == [1.0, 0.5, 0.5]


def test_the_table_tells_every_score_with_its_interval(tmp_path: Path) -> None:
    asked = questions(10)
    judged = [alone("m", one.id, turn, float(one.id) + turn) for one in asked for turn in (1, 2)]
    found = report([evaluation(tmp_path / "m", "m", judged, answers(asked))], asked)

    made = tables.scores_table(found)
    said = texts(table.drawn(made))

    assert list(made.columns) == ["overall", "turn 1", "turn 2", "writing", "maths"]
    assert {"6.00", "5.50", "6.50", "m", "overall"} <= set(said)
    assert sum(text.startswith("± ") for text in said) == 5


def test_a_png_is_drawn_where_matplotlib_is_there(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    asked = questions(6, ("x", "y", "$z$"))
    found = report([evaluation(tmp_path / "m", "m", [alone("m", one.id, 1, 5.0) for one in asked])], asked)

    for name in ("a.png", "a.svg", "b.PNG"):
        pictures.write(found, tmp_path / name)

    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.PNG").read_bytes()
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<svg ")


def test_without_matplotlib_the_extra_is_named_and_an_svg_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = questions(6, ("x", "y", "z"))
    found = report([evaluation(tmp_path / "m", "m", [alone("m", one.id, 1, 5.0) for one in asked])], asked)
    for name in ("matplotlib", "matplotlib.backends.backend_agg", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(UsageError, match="needs the package matplotlib") as caught:
        pictures.write(found, tmp_path / "a.png")
    pictures.write(found, tmp_path / "a.svg")

    assert "align-cli[plot]" in caught.value.hint
    assert (tmp_path / "a.svg").exists()
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(("name", "said"), [("a.pdf", "ends in .png or .svg"), ("no/such/folder/a.svg", "cannot be")])
def test_a_picture_that_cannot_be_written_is_a_sentence(tmp_path: Path, name: str, said: str) -> None:
    asked = questions(6, ("x", "y", "z"))
    found = report([evaluation(tmp_path / "m", "m", [alone("m", one.id, 1, 5.0) for one in asked])], asked)
    (tmp_path / "no").write_text("a file, not a folder")

    with pytest.raises(UsageError, match=said):
        pictures.write(found, tmp_path / name)


def test_there_is_no_picture_of_nothing(tmp_path: Path) -> None:
    found = report([evaluation(tmp_path / "m", "m")], questions(6))

    with pytest.raises(UsageError, match="nothing to draw"):
        pictures.write(found, tmp_path / "a.svg")
