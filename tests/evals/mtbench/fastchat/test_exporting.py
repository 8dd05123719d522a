"""FastChat's files out of evaluation folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align_cli import files
from align_cli.errors import UsageError
from align_cli.evals.benchmark import Answer, Ask, Verdict
from align_cli.evals.folder import FORMAT, Evaluation, record_of
from align_cli.evals.judgments import Judgment, replied
from align_cli.evals.judgments import record_of as judgment_record
from align_cli.evals.mtbench.fastchat import export_fastchat, import_fastchat
from align_cli.evals.records import Journal
from tests.evals.mtbench.fastchat import rows


def evaluation(folder: Path, model: str, judgments: list[Judgment], benchmark: str = "mtbench") -> Evaluation:
    """As generating and judging leave it."""
    files.write_json(folder / "evaluation.json", {"format": FORMAT, "model": {"name": model}, "benchmark": benchmark})
    journal = Journal(folder / "answers.jsonl")
    for turn, text in enumerate(("first", "second"), 1):
        journal.add(record_of(Answer(question_id=81, turn=turn, text=text, tstamp=1700000000.25)))
    journal.close()
    journal = Journal(folder / "judgments.jsonl")
    for judgment in judgments:
        journal.add(judgment_record(judgment))
    journal.close()
    return Evaluation(folder)


def judged(*models: str, prompt: str = "single-v1", endpoint: str = "e", verdict: Verdict, game: int = 1) -> Judgment:
    messages = ({"role": "user", "content": f"{prompt} {models}"},)
    ask = Ask(question_id=81, turn=1, prompt=prompt, models=models, messages=messages, game=game)
    return replied(ask, {"model": "gpt-4", "endpoint": endpoint}, verdict, "reply")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_answers_and_judgments_are_laid_out_as_fastchat_does(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "a", "a", [judged("a", verdict=Verdict(score=8))])
    games = [judged("b", "a", verdict=Verdict(winner="b")), judged("a", "b", verdict=Verdict(winner="b"), game=2)]
    other = evaluation(tmp_path / "b", "b", [judged("b", verdict=Verdict(score=9)), *games])

    paths = export_fastchat([one, other], tmp_path / "out")

    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths] == [
        "model_answer/a.jsonl",
        "model_answer/b.jsonl",
        "model_judgment/gpt-4_single.jsonl",
        "model_judgment/gpt-4_pair.jsonl",
    ]
    assert lines(paths[0])[0]["choices"] == rows.answer()["choices"]
    assert [(row["model"], row["score"]) for row in lines(paths[2])] == [("a", 8), ("b", 9)]
    (match,) = lines(paths[3])
    assert (match["model_1"], match["model_2"], match["g1_winner"], match["g2_winner"]) == ("b", "a", *["model_1"] * 2)


def test_what_is_exported_is_imported_equal(tmp_path: Path) -> None:
    place = tmp_path / "mt_bench"
    rows.written(place / "model_answer" / "a.jsonl", [rows.answer(81), rows.answer(82, "only one")])
    rows.written(place / "model_judgment" / "gpt-4_single.jsonl", [rows.single(), rows.single(), rows.single(82, -1)])
    rows.written(place / "model_judgment" / "gpt-4_pair.jsonl", [rows.pair(), rows.pair(82, "CC"), rows.pair(82, "CC")])
    first = import_fastchat(place, tmp_path / "first")

    export_fastchat(first, tmp_path / "exported")
    second = import_fastchat(tmp_path / "exported", tmp_path / "second")

    assert [one.answers() for one in second] == [one.answers() for one in first]
    assert [one.judgments() for one in second] == [one.judgments() for one in first]
    for name in ("gpt-4_single.jsonl", "gpt-4_pair.jsonl"):
        exported = tmp_path / "exported" / "model_judgment" / name
        assert exported.read_bytes() == (place / "model_judgment" / name).read_bytes()


@pytest.mark.parametrize("name", rows.STORED)
def test_stored_judgments_go_through_a_folder_without_loss(stored: Path, tmp_path: Path, name: str) -> None:
    place = stored / "model_judgment" / name

    export_fastchat(import_fastchat(place, tmp_path / "in"), tmp_path / "out")

    judged = sorted(place.glob("gpt-4_*.jsonl"))
    for path in judged:
        exported = tmp_path / "out" / "model_judgment" / path.name
        assert sorted(exported.read_text().splitlines()) == sorted(path.read_text().splitlines())
    assert len(judged) == (2 if name == "phi3_stefanstud" else 1)


def test_judgments_with_other_references_make_a_file_of_their_own(tmp_path: Path) -> None:
    other = "gpt-4-0125-preview"
    one = evaluation(
        tmp_path / "a",
        "a",
        [
            judged("a", verdict=Verdict(score=5)),
            judged("a", prompt="single-math-v1", verdict=Verdict(score=3)),
            judged("a", prompt=f"single-math-v1+{other}", verdict=Verdict(score=9)),
        ],
    )

    export_fastchat([one], tmp_path / "out")

    folder = tmp_path / "out" / "model_judgment"
    assert [row["score"] for row in lines(folder / "gpt-4_single.jsonl")] == [5, 3]
    assert [row["score"] for row in lines(folder / f"gpt-4+{other}_single.jsonl")] == [5, 9]


def test_judges_of_one_name_at_two_endpoints_are_kept_apart(tmp_path: Path) -> None:
    judgments = [judged("a", endpoint=where, verdict=Verdict(score=score)) for where, score in (("e", 5), ("f", 6))]

    export_fastchat([evaluation(tmp_path / "a", "a", judgments)], tmp_path / "out")

    found = {path.name: lines(path)[0]["score"] for path in (tmp_path / "out" / "model_judgment").iterdir()}
    assert found == {"gpt-4_single.jsonl": 5, "gpt-4-2_single.jsonl": 6}


def test_a_name_that_no_file_can_have_is_changed_everywhere_alike(tmp_path: Path) -> None:
    games = [judged("org/a", "b", verdict=Verdict(winner="org/a")), judged("b", "org/a", verdict=Verdict(), game=2)]
    one = evaluation(tmp_path / "a", "org/a", [judged("org/a", verdict=Verdict(score=8)), *games])

    answers, single, pair = export_fastchat([one], tmp_path / "out")

    assert (answers.name, lines(answers)[0]["model_id"], lines(single)[0]["model"]) == ("org-a.jsonl", "org-a", "org-a")
    assert (lines(pair)[0]["model_1"], lines(pair)[0]["g1_winner"]) == ("org-a", "model_1")


def test_files_that_are_there_are_never_written_over(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "a", "a", [judged("a", verdict=Verdict(score=8))])
    there = rows.written(tmp_path / "out" / "model_judgment" / "gpt-4_single.jsonl", [rows.single(score=1)])

    with pytest.raises(UsageError, match=r"gpt-4_single\.jsonl: already there"):
        export_fastchat([one], tmp_path / "out")

    assert lines(there) == [rows.single(score=1)]
    assert not (tmp_path / "out" / "model_answer").exists()


def test_evaluations_that_cannot_stand_side_by_side_are_refused(tmp_path: Path) -> None:
    one, same, near = (
        evaluation(tmp_path / name, model, []) for name, model in (("x", "m/a"), ("y", "m/a"), ("z", "m-a"))
    )

    with pytest.raises(UsageError, match="several evaluations are of m/a"):
        export_fastchat([one, same], tmp_path / "out")
    with pytest.raises(UsageError, match="m/a, m-a would share a file"):
        export_fastchat([one, near], tmp_path / "out")


def test_another_benchmarks_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not an evaluation with mtbench"):
        export_fastchat([evaluation(tmp_path / "a", "a", [], benchmark="other")], tmp_path / "out")
