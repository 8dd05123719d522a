"""AlpacaEval's page in a real browser: answers are read beside the reference's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from align_cli.evals.alpacaeval import BENCHMARK
from align_cli.evals.alpacaeval.evaluation_set import id_of, question_of
from align_cli.evals.alpacaeval.winrates import preference_of
from align_cli.evals.benchmark import Reference
from align_cli.evals.report import report as reports
from align_cli.evals.report.page import page
from align_cli.evals.report.report import Report
from tests.evals.report.building import alone, answer, evaluation
from tests.evals.report.test_browser import dom, shown

HOSTILE = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"


@pytest.fixture(scope="module")
def made(synth: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Three models beside made-up reference answers; one answer and its reference's hold markup."""
    place = tmp_path_factory.mktemp("held")
    outputs = json.loads((synth / "reference_outputs.json").read_text(encoding="utf-8"))
    asked = [question_of(row["instruction"], f"part {number % 4}") for number, row in enumerate(outputs)]
    first = asked[0].turns[0]
    said = {row["instruction"]: (row["output"],) for row in outputs} | {first: (f"reference {HOSTILE}",)}
    held = []
    for name in ("model_long", "model_short", "model_messy"):
        rows = json.loads((synth / f"annotations_{name}.json").read_text(encoding="utf-8"))
        judged, answered = [], []
        for row in rows:
            text = f"{name} {HOSTILE}" if row["instruction"] == first else row["output_2"]
            preference = preference_of(row["preference"])
            score = None if preference is None else 100 * preference
            judged.append(alone(name, id_of(row["instruction"]), 1, score, reference="base", text="m"))
            answered.append(answer(id_of(row["instruction"]), 1, text))
        one = evaluation(place / name, name, judged, answered, {"benchmark": "alpacaeval"})
        one.keep_reference(Reference(name="base", answers={id_of(key): text for key, text in said.items()}))
        held.append(one)
    return reports.make(held, benchmark=BENCHMARK, questions=asked)


@pytest.fixture(scope="module")
def place(made: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("page") / "report.html"
    found.write_text(page(made), encoding="utf-8")
    return found


def scores(made: Report, name: str) -> list[float]:
    subject = next(one for one in made.material.subjects if one.name == name)
    return [one.score for one in subject.judgments if one.score is not None]


def test_a_model_has_one_colour_in_the_tables_and_in_every_drawing(made: Report) -> None:
    ranked = [one.name for one in made.models]

    assert list(made.addition.metrics) == ranked == ["model_long", "model_messy", "model_short"]
    assert len(made.addition.drawings) == 3
    for drawing in made.addition.drawings:
        named = {shape.text: shape.series for shape in drawing.shapes if getattr(shape, "text", "") in ranked}
        assert named == {name: number for number, name in enumerate(ranked)}


@pytest.mark.slow
def test_lost_instructions_are_found_with_the_clearest_first(made: Report, place: Path, tmp_path: Path) -> None:
    found = shown(dom(place, tmp_path, "#models=0&result=lost&order=apart"))

    lost = sorted(one for one in scores(made, "model_long") if one < 50)
    said = [float(one) for one in re.findall(r'title="model_long: ([\d.]+)"', found)]
    assert said == [pytest.approx(one, abs=0.005) for one in lost]
    assert f">{len(lost)} of 200 questions<" in found
    assert f">lost ({len(lost)})<" in found
    assert "furthest from a draw first" in found
    assert re.search(r"<strong>score [\d.]+: lost</strong>", found)


@pytest.mark.slow
def test_the_reference_stands_beside_the_answers_and_can_be_hidden(made: Report, place: Path, tmp_path: Path) -> None:
    question = made.material.questions[3]
    theirs = next(one.reference for one in made.material.subjects if one.reference)

    beside = shown(dom(place, tmp_path, f"#q={question.id}"))
    hidden = shown(dom(place, tmp_path, f"#q={question.id}&reference=0"))

    columns = r'<article class="answer[^"]*" aria-label="([^"]*)"'
    assert re.findall(columns, beside) == ["model_long", "model_messy", "model_short", "reference: base"]
    assert re.findall(columns, hidden) == ["model_long", "model_messy", "model_short"]
    reference = beside[beside.index('aria-label="reference: base"') :]
    assert theirs.answers[question.id][0] in reference
    assert 'class="score' not in reference
    assert f"{len(theirs.answers[question.id][0])} characters" in reference


@pytest.mark.slow
def test_an_answer_and_a_reference_that_hold_markup_are_shown_and_not_run(
    made: Report, place: Path, tmp_path: Path
) -> None:
    found = shown(dom(place, tmp_path, f"#q={made.material.questions[0].id}"))

    assert found.count("&lt;img src=x onerror=") == 4
    assert "reference &lt;img" in found
    assert "<img" not in found
    assert re.search(r"<title>([^<]*)</title>", found)[1] == "alpacaeval: model_long, model_messy, model_short"
