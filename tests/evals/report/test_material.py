"""What a report is made of, and whose judgments count."""

from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import UsageError
from align_cli.evals.report.material import UNKNOWN
from tests.evals.report.building import alone, answer, evaluation, questions, report

ASKED = questions(4)


def by(judge: str, endpoint: str = "") -> dict[str, dict[str, str]]:
    return {"judge": {"model": judge, "endpoint": endpoint}}


def test_of_several_judges_one_has_to_be_named(tmp_path: Path) -> None:
    held = evaluation(
        tmp_path / "m", "m", [alone("m", 0, 1, 8.0, **by("gpt-4")), alone("m", 0, 1, 4.0, time=2, **by("other"))]
    )

    with pytest.raises(UsageError, match="several judges") as caught:
        report([held], ASKED)

    assert [str(problem) for problem in caught.value.problems] == ["gpt-4: 1 judgments", "other: 1 judgments"]
    assert "--judge" in caught.value.hint


def test_the_named_judge_alone_counts(tmp_path: Path) -> None:
    held = evaluation(
        tmp_path / "m", "m", [alone("m", 0, 1, 8.0, **by("gpt-4")), alone("m", 0, 1, 4.0, time=2, **by("other"))]
    )

    found = report([held], ASKED, judge="other")

    assert found.model("m").scores.overall.value == 4.0
    assert found.judge.name == "other"


def test_a_judge_who_did_not_judge_is_refused_with_those_who_did(tmp_path: Path) -> None:
    held = evaluation(tmp_path / "m", "m", [alone("m", 0, 1, 8.0)])

    with pytest.raises(UsageError, match="nobody has not judged") as caught:
        report([held], ASKED, judge="nobody")

    assert [str(problem) for problem in caught.value.problems] == ["gpt-4: 1 judgments"]


def test_one_judge_at_two_places_is_told_apart_where_both_judged_the_same_model(tmp_path: Path) -> None:
    held = evaluation(
        tmp_path / "m",
        "m",
        [alone("m", 0, 1, 8.0, **by("g", "http://a")), alone("m", 0, 1, 4.0, time=2, **by("g", "http://b"))],
    )

    with pytest.raises(UsageError, match="several judges"):
        report([held], ASKED, judge="g")

    assert report([held], ASKED, judge="g at http://b").model("m").scores.overall.value == 4.0


def test_one_judge_at_a_place_for_each_model_is_one_judge_and_noted(tmp_path: Path) -> None:
    held = [
        evaluation(tmp_path / "a", "a", [alone("a", 0, 1, 8.0, **by("gpt-4", "http://a"))]),
        evaluation(tmp_path / "b", "b", [alone("b", 0, 1, 4.0, **by("gpt-4"))]),
    ]

    found = report(held, ASKED)

    assert [one.scores.overall.value for one in found.models] == [8.0, 4.0]
    assert any("a place that is not known and http://a" in note for note in found.notes)


def test_a_report_on_what_nobody_judged_has_no_score_and_says_so(tmp_path: Path) -> None:
    found = report([evaluation(tmp_path / "m", "m")], ASKED)

    assert found.model("m").scores.overall.value is None
    assert "nothing is judged yet" in found.notes


def test_two_evaluations_of_one_model_are_told_apart_by_as_little_of_their_place_as_does(tmp_path: Path) -> None:
    held = [
        evaluation(tmp_path / "one" / "small", "m", [alone("m", 0, 1, 3.0)]),
        evaluation(tmp_path / "two" / "small", "m", [alone("m", 0, 1, 5.0)]),
    ]

    found = report(held, ASKED)

    assert [one.name for one in found.models] == ["m (two/small)", "m (one/small)"]


def test_an_evaluation_that_is_named_twice_is_reported_once(tmp_path: Path) -> None:
    held = evaluation(tmp_path / "m", "m", [alone("m", 0, 1, 8.0)])

    assert [one.name for one in report([held, held], ASKED).models] == ["m"]


def test_an_evaluation_on_another_benchmark_is_refused(tmp_path: Path) -> None:
    held = evaluation(tmp_path / "m", "m", facts={"benchmark": "large"})

    with pytest.raises(UsageError, match="one benchmark, here small") as caught:
        report([held], ASKED)

    assert "is an evaluation on large" in str(caught.value.problems[0])


def test_an_evaluation_is_not_held_against_itself(tmp_path: Path) -> None:
    held = evaluation(tmp_path / "m", "m")

    with pytest.raises(UsageError, match="the evaluation itself"):
        report([held], ASKED, against=held)


def test_judgments_of_other_models_in_a_folder_are_left_out_and_counted(tmp_path: Path) -> None:
    held = evaluation(tmp_path / "m", "m", [alone("m", 0, 1, 8.0), alone("stranger", 0, 1, 1.0)])

    found = report([held], ASKED)

    assert found.model("m").scores.overall.value == 8.0
    assert "1 judgment here is of another model: left out" in found.notes


def test_a_question_that_the_benchmark_does_not_have_counts_in_the_whole_and_is_noted(tmp_path: Path) -> None:
    held = evaluation(tmp_path / "m", "m", [alone("m", 0, 1, 8.0), alone("m", "999", 1, 4.0)])

    found = report([held], ASKED)

    assert found.model("m").scores.overall.value == 6.0
    assert found.model("m").scores.by_category[UNKNOWN].value == 4.0
    assert any("1 judged question is not among the benchmark's" in note for note in found.notes)


def test_ids_that_are_numbers_here_and_texts_there_are_the_same_question(tmp_path: Path) -> None:
    held = evaluation(tmp_path / "m", "m", [alone("m", "1", 1, 8.0)])

    assert report([held], ASKED).model("m").scores.by_category["maths"].value == 8.0


def test_models_that_were_asked_otherwise_are_noted(tmp_path: Path) -> None:
    held = [
        evaluation(tmp_path / name, name, facts={"manner": {"seed": 0, "temperature": temperature}})
        for name, temperature in (("a", None), ("b", 0.7))
    ]

    notes = report(held, ASKED).notes

    assert "the models were not asked in the same way: they differ in temperature" in notes
    assert any(note.startswith("b: asked with temperature 0.7 instead of the benchmark's own") for note in notes)


def test_a_verdict_on_an_earlier_text_gives_way_to_one_on_the_text_that_is_there(tmp_path: Path) -> None:
    asked = questions(2, turns=1)
    earlier = alone("m", 0, 1, 2.0, user_prompt="Rate: the first text", time=1)
    later = alone("m", 0, 1, 8.0, user_prompt="Rate: the second text", time=2)
    only = alone("m", 1, 1, 4.0, user_prompt="Rate: something that was changed since")
    said = [answer(0, text="the second text"), answer(1, text="as it is now")]

    made = report([evaluation(tmp_path / "m", "m", [earlier, later, only], said)], asked)

    assert made.models[0].scores.overall.value == 6.0
    assert any("1 verdict is on an earlier text" in note for note in made.notes)


def test_of_several_references_one_has_to_be_named(tmp_path: Path) -> None:
    asked = questions(2, turns=1)
    judged = [
        alone("m", 0, 1, 2.0, reference="a", time=1),
        alone("m", 0, 1, 8.0, reference="b", time=2),
        alone("m", 1, 1, 5.0),
    ]
    there = [evaluation(tmp_path / "m", "m", judged)]

    with pytest.raises(UsageError, match="several reference answers") as caught:
        report(there, asked)

    assert [problem.where for problem in caught.value.problems] == ["a", "b"]
    assert report(there, asked, reference="a").models[0].scores.overall.value == 3.5
    assert report(there, asked, reference="b").models[0].scores.overall.value == 6.5
    with pytest.raises(UsageError, match="--reference c: nothing was judged beside it"):
        report(there, asked, reference="c")
