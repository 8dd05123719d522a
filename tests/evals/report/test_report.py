"""The report as a whole: a pure function of what lies in the folders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from align_cli.evals.folder import Evaluation
from align_cli.evals.report.drawing import svg
from align_cli.evals.report.page import page
from align_cli.evals.report.pictures import picture_of
from tests.evals.report.building import alone, answers, battle, benchmark, evaluation, questions, report

ASKED = questions(12, ("writing", "maths", "law"))


def two(place: Path) -> list[Evaluation]:
    return [_evaluation(place / name, name, factor) for name, factor in (("a", 3), ("b", 7))]


def _evaluation(place: Path, name: str, factor: int) -> Evaluation:
    scores = {(int(one.id), turn): float((int(one.id) * factor + turn) % 10 + 1) for one in ASKED for turn in (1, 2)}
    judged = [alone(name, question, turn, score, tstamp=1.5e9) for (question, turn), score in scores.items()]
    games = [one for question in range(6) for one in battle("a", "b", question, "a", "ab"[question % 2])]
    return evaluation(place, name, [*judged, *games], answers(ASKED))


def test_the_same_folders_elsewhere_give_the_same_bytes(tmp_path: Path) -> None:
    held = two(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "far" / "away")
    others = [replace(one, path=tmp_path / "far" / "away" / one.path.name) for one in held]

    found, again = (report(some, ASKED, against=some[0]) for some in (held, others))

    assert json.dumps(found.as_dict()) == json.dumps(again.as_dict())
    assert page(found) == page(again)


def test_the_order_of_the_evaluations_makes_no_difference(tmp_path: Path) -> None:
    held = two(tmp_path)

    found, again = report(held, ASKED), report(held[::-1], ASKED)

    assert json.dumps(found.as_dict()) == json.dumps(again.as_dict())
    assert page(found) == page(again)
    assert svg(picture_of(found)) == svg(picture_of(again))


def test_the_order_in_which_judgments_came_makes_no_difference(tmp_path: Path) -> None:
    held = two(tmp_path)
    before = json.dumps(report(held, ASKED).as_dict())
    for one in held:
        place = one.path / "judgments.jsonl"
        place.write_text("".join(reversed(place.read_text().splitlines(keepends=True))))

    assert json.dumps(report(held, ASKED).as_dict()) == before


def test_nothing_of_this_machine_or_this_moment_is_in_the_document_or_the_page(tmp_path: Path) -> None:
    found = report(two(tmp_path), ASKED)

    for text in (json.dumps(found.as_dict()), page(found)):
        assert str(tmp_path) not in text
        assert "1500000000" not in text


def test_the_document_is_plain_json_that_keeps_its_order(tmp_path: Path) -> None:
    document = report(two(tmp_path), ASKED).as_dict()

    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_best_model_is_first_and_one_without_a_score_last(tmp_path: Path) -> None:
    held = [
        evaluation(tmp_path / "x", "x"),
        evaluation(tmp_path / "y", "y", [alone("y", 0, 1, 2.0)]),
        evaluation(tmp_path / "z", "z", [alone("z", 0, 1, 9.0)]),
    ]

    assert [one.name for one in report(held, ASKED).models] == ["z", "y", "x"]


def test_another_judge_than_that_of_published_scores_is_noted(tmp_path: Path) -> None:
    held = evaluation(tmp_path / "m", "m", [alone("m", 0, 1, 8.0)])

    notes = report([held], ASKED, benchmark=benchmark(ASKED, judge="gpt-5")).notes

    assert "judged by gpt-4; published scores were made with gpt-5, and cannot be compared with these" in notes


def test_everything_that_was_done_well_needs_no_note(tmp_path: Path) -> None:
    asked = questions(12)
    judged = [alone("m", one.id, turn, 5.0) for one in asked for turn in (1, 2)]

    assert report([evaluation(tmp_path / "m", "m", judged, answers(asked))], asked).notes == []


def test_a_report_of_nothing_can_be_made_and_shown(tmp_path: Path) -> None:
    found = report([evaluation(tmp_path / "m", "m")], [])

    assert found.as_dict()["models"][0]["overall"]["value"] is None
    assert "nothing is judged yet" in page(found)


def test_a_report_is_made_without_torch(tmp_path: Path) -> None:
    two(tmp_path)
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from align_cli.evals import folder
from align_cli.evals.folder import Evaluation
from align_cli.evals.report.page import page
from tests.evals.report.building import questions, report
asked = questions(12, ("writing", "maths", "law"))
page(report([folder.of(Path({str(tmp_path)!r}) / name) for name in "ab"], asked))
print(sorted({{"torch", "transformers", "matplotlib", "rich", "datasets"}} & set(sys.modules)))
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
