"""Evaluation folders out of alpaca_eval's files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import DataError, UsageError
from align_cli.evals.alpacaeval import BENCHMARK
from align_cli.evals.alpacaeval.evaluation_set import id_of
from align_cli.evals.alpacaeval.original import import_original
from align_cli.evals.alpacaeval.versions import VERSION_1, VERSION_2
from align_cli.evals.benchmark import Computing
from align_cli.evals.folder import Evaluation
from align_cli.evals.report import report
from align_cli.files import digest_of_file
from tests.evals.alpacaeval.original.rows import ANNOTATOR, PLAIN, REFERENCE, SWITCHED, annotation, output, written

MODELS = ("model_long", "model_short", "model_messy")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """alpaca_eval's results: two models, of which one was judged twice over."""
    place = tmp_path / "results"
    for model in "mn":
        outputs = [output(one, model=model) for one in (SWITCHED, PLAIN)]
        written(place / model / "model_outputs.json", outputs)
        rows = [annotation(one, model=model) for one in (PLAIN, SWITCHED)]
        written(place / model / ANNOTATOR / "annotations.json", rows)
    other = [annotation(one, 1.0, annotator="alpaca_eval_cot", glm_preference=0.1) for one in (PLAIN, SWITCHED)]
    written(place / "m" / "alpaca_eval_cot" / "annotations.json", other)
    written(place / "m" / ANNOTATOR / "annotations_seed0_configs.json", [{"preference": 1.0}])
    return place


@pytest.mark.parametrize("model", MODELS)
def test_a_report_on_what_was_imported_says_what_alpaca_eval_says(synth: Path, tmp_path: Path, model: str) -> None:
    expected = json.loads((synth / "expected.json").read_text())["expected"][model]
    (one,) = import_original(VERSION_2, synth / f"annotations_{model}.json", tmp_path / "in")

    made = report.make(
        [one],
        benchmark=BENCHMARK,
        questions=one.questions() or [],
        computing=Computing(length_control=synth / "df_gamed.csv"),
    )

    metrics = made.model(model).metrics
    plain = ("win_rate", "standard_error", "n_wins", "n_wins_base", "n_draws", "n_total", "discrete_win_rate")
    assert {name: metrics[name] for name in plain} == {name: pytest.approx(expected[name], abs=1e-9) for name in plain}
    for name in ("length_controlled_winrate", "lc_standard_error"):
        assert metrics[name] == pytest.approx(expected[name], abs=1e-5)


def test_a_folder_of_annotations_makes_an_evaluation_a_model(synth: Path, tmp_path: Path) -> None:
    found = import_original(VERSION_2, synth, tmp_path / "in")

    assert sorted(one.model for one in found) == sorted(MODELS)


def test_nulls_old_draws_and_draws_survive(synth: Path, tmp_path: Path) -> None:
    stored = [row["preference"] for row in json.loads((synth / "annotations_model_messy.json").read_text())]
    (one,) = import_original(VERSION_2, synth / "annotations_model_messy.json", tmp_path / "in")

    judgments = one.judgments()

    assert sum(record["state"] == "unreadable" for record in judgments) == stored.count(None) == 6
    assert sum(record["score"] == 50.0 for record in judgments) == stored.count(0.0) + stored.count(1.5) == 14


@pytest.mark.parametrize("below", ["", "..", "m"])
def test_a_results_folder_makes_an_evaluation_a_model(results: Path, tmp_path: Path, below: str) -> None:
    one, *others = import_original(VERSION_2, results / below, tmp_path / "in")

    assert (one.path, one.model, one.benchmark) == (tmp_path / "in" / "m", "m", "alpacaeval")
    assert [other.model for other in others] == ([] if below == "m" else ["n"])
    assert {question: turns[0].text for question, turns in one.answers().items()} == {
        id_of(PLAIN): "ours",
        id_of(SWITCHED): "ours",
    }
    assert len(one.judgments()) == 4
    reference = one.reference(REFERENCE)
    assert reference is not None
    assert reference.answers == {id_of(PLAIN): ("theirs",), id_of(SWITCHED): ("theirs",)}


def test_what_was_read_is_written_down(results: Path, tmp_path: Path) -> None:
    one, other = import_original(VERSION_2, results, tmp_path / "in")

    names = ("m/alpaca_eval_cot/annotations.json", f"m/{ANNOTATOR}/annotations.json", "m/model_outputs.json")
    assert one.facts["imported"] == {
        "format": "alpaca_eval",
        "files": {name: digest_of_file(results / name) for name in names},
        "notes": ["m/alpaca_eval_cot/annotations.json: fields that are not kept: glm_preference"],
    }
    assert other.facts["imported"]["notes"] == []


def test_questions_come_in_the_order_of_the_annotations(results: Path, tmp_path: Path) -> None:
    one, _ = import_original(VERSION_2, results, tmp_path / "in")

    questions = one.questions()

    assert questions is not None
    assert [(question.turns, question.category) for question in questions] == [
        ((PLAIN,), "koala"),
        ((SWITCHED,), "koala"),
    ]
    assert [question.id for question in questions] == list(one.answers())


def test_a_report_says_which_judge_is_meant(results: Path, tmp_path: Path) -> None:
    (one,) = import_original(VERSION_2, results, tmp_path / "in", model="m")

    with pytest.raises(UsageError, match="several judges"):
        report.make([one], benchmark=BENCHMARK, questions=one.questions() or [])
    made = report.make([one], benchmark=BENCHMARK, questions=one.questions() or [], judge="alpaca_eval_cot")

    assert made.model("m").metrics["win_rate"] == 0.0


def test_outputs_alone_make_answers_to_be_judged(tmp_path: Path) -> None:
    path = written(tmp_path / "model_outputs.json", [output(), output(SWITCHED, "", dataset=None)])

    (one,) = import_original(VERSION_1, path, tmp_path / "in")

    assert one.benchmark == "alpacaeval1"
    assert [turns[0].text for turns in one.answers().values()] == ["ours", ""]
    assert one.judgments() == []


@pytest.mark.parametrize(("name", "model"), [("model_outputs.json", "nameless"), ("mine.json", "mine")])
def test_outputs_that_name_no_model_are_named_by_their_place(tmp_path: Path, name: str, model: str) -> None:
    path = written(tmp_path / "nameless" / name, [{"instruction": PLAIN, "output": "x"}])

    (one,) = import_original(VERSION_2, path, tmp_path / "in")

    assert one.model == model


def test_annotations_named_after_their_annotator_are_found(tmp_path: Path) -> None:
    written(tmp_path / "m" / f"annotation_{ANNOTATOR}.json", [annotation()])

    (one,) = import_original(VERSION_2, tmp_path / "m", tmp_path / "in")

    assert len(one.judgments()) == 1


def test_a_model_that_is_not_there_is_refused_with_those_that_are(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='nothing about the model "x"') as refused:
        import_original(VERSION_2, results, tmp_path / "in", model="x")

    assert refused.value.hint == "available: m, n"


def test_a_row_that_comes_again_counts_once(results: Path, tmp_path: Path) -> None:
    path = results / "m" / ANNOTATOR / "annotations.json"
    again = written(tmp_path / "again.json", [*json.loads(path.read_text()), annotation(price_per_example=1)])

    (one,) = import_original(VERSION_2, [path, again, path], tmp_path / "in")

    assert len(one.judgments()) == 2
    assert one.facts["imported"]["notes"] == [
        "again.json: rows that say again what an earlier row says: 3; they count once"
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([annotation(), annotation(preference=1.0)], "row 2: .*another verdict on the same instruction"),
        ([annotation(), annotation(annotator="x", output_2="other")], "row 2: m's output_2 is not what an earlier"),
        ([annotation(), annotation(annotator="x", output_1="y")], f"row 2: {REFERENCE}'s output_1 is not what"),
        ([output(), output(text="other")], "row 2: m's output is not what an earlier row or file has"),
    ],
)
def test_rows_that_deny_each_other_are_refused(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    path = written(tmp_path / "file.json", rows)

    with pytest.raises(DataError, match=rf"file\.json: {said}"):
        import_original(VERSION_2, path, tmp_path / "in")

    assert not (tmp_path / "in").exists()


def test_outputs_other_than_the_judged_ones_are_refused(results: Path, tmp_path: Path) -> None:
    written(results / "m" / "model_outputs.json", [output(SWITCHED), output(PLAIN, "made anew")])

    with pytest.raises(DataError, match=r"model_outputs\.json: row 2: m's output is not what an earlier"):
        import_original(VERSION_2, results, tmp_path / "in")

    assert not (tmp_path / "in").exists()


def test_a_verdict_beside_another_reference_is_another_verdict(tmp_path: Path) -> None:
    rows = [annotation(), annotation(preference=1.0, generator_1="base", output_1="theirs too")]

    (one,) = import_original(VERSION_2, written(tmp_path / "a.json", rows), tmp_path / "in")

    assert [(record["reference"], record["score"]) for record in one.judgments()] == [(REFERENCE, 75), ("base", 0)]
    base = one.reference("base")
    assert base is not None
    assert base.answers == {id_of(PLAIN): ("theirs too",)}


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "there are no outputs or annotations in it"),
        ("[]", "there are no outputs or annotations in it"),
        ("[{", "this is no JSON"),
        ("[1]", "these are no outputs or annotations"),
        ('{"preference": 1}', "these are no outputs or annotations"),
        ('[{"instruction": "x", "preference": 1.0}]', "these are no annotations"),
        ('[{"instruction": "x", "chosen": "x"}]', "these are no files of alpaca_eval: its first row"),
        (json.dumps([annotation(), without(annotation(SWITCHED), "generator_1")]), "these are no annotations"),
        (json.dumps([annotation(), without(annotation(SWITCHED), "output_2")]), "these are no annotations"),
        (json.dumps([annotation(), without(annotation(SWITCHED), "preference")]), 'row 2: has no "preference"'),
        (json.dumps([annotation(annotator=7)]), "these are no annotations"),
        (json.dumps([output(), without(output(SWITCHED), "generator")]), "these are no outputs"),
        (json.dumps([output(), output(SWITCHED, 7)]), "these are no outputs"),
        (json.dumps([output(text="\ud83d")]), 'row 1: "output" holds half a character'),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_made(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=f"file.json: {said}"):
        import_original(VERSION_2, path, tmp_path / "in")

    assert not (tmp_path / "in").exists()


def test_all_damaged_rows_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    rows = [annotation(f"Do {number}.") for number in range(8)]
    path = written(tmp_path / "file.json", [rows[0], *(without(row, "preference") for row in rows[1:])])

    with pytest.raises(DataError, match="7 of its rows cannot be taken") as refused:
        import_original(VERSION_2, path, tmp_path / "in")

    assert [one.where for one in refused.value.problems] == [*(f"row {number}" for number in range(2, 7)), ""]


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DataError, match=r"file\.json: cannot be read"):
        import_original(VERSION_2, tmp_path / "file.json", tmp_path / "in")


def test_json_lines_are_taken_too(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text("".join(json.dumps(annotation(one, math.nan)) + "\n" for one in (PLAIN, SWITCHED)))

    (one,) = import_original(VERSION_2, path, tmp_path / "in")

    assert [record["state"] for record in one.judgments()] == ["unreadable"] * 2


@pytest.mark.parametrize(("make", "said"), [(False, "there is no such file"), (True, "no outputs or annotations")])
def test_a_place_without_such_files_is_refused(tmp_path: Path, make: bool, said: str) -> None:
    if make:
        (tmp_path / "place").mkdir()

    with pytest.raises(UsageError, match=said) as refused:
        import_original(VERSION_2, tmp_path / "place", tmp_path / "in")

    assert "model_outputs.json" in refused.value.hint


def test_a_target_that_is_there_is_refused_and_left_as_it_is(results: Path, tmp_path: Path) -> None:
    import_original(VERSION_2, results, tmp_path / "in", model="n")
    before = digest_of_file(tmp_path / "in" / "n" / "evaluation.json")

    with pytest.raises(UsageError, match="in/n: already there"):
        import_original(VERSION_2, results, tmp_path / "in")

    assert [path.name for path in (tmp_path / "in").iterdir()] == ["n"]
    assert digest_of_file(tmp_path / "in" / "n" / "evaluation.json") == before


def test_models_that_would_share_a_folder_are_refused_and_references_told_apart(tmp_path: Path) -> None:
    models = written(tmp_path / "m.json", [annotation(model=name) for name in ("org/a", "org-a")])
    references = written(tmp_path / "r.json", [annotation(generator_1=name) for name in ("org/a", "org-a")])

    with pytest.raises(UsageError, match="org/a and org-a would share"):
        import_original(VERSION_2, models, tmp_path / "in")
    (one,) = import_original(VERSION_2, references, tmp_path / "in")
    kept = [one.reference(name) for name in ("org/a", "org-a")]
    assert [its and its.name for its in kept] == ["org/a", "org-a"]


@pytest.mark.parametrize("model", ["../outside", "org/name", "."])
def test_a_models_name_never_leads_out_of_the_folder(tmp_path: Path, model: str) -> None:
    (one,) = import_original(VERSION_2, written(tmp_path / "x.json", [annotation(model=model)]), tmp_path / "in")

    assert one.model == model
    assert one.path.parent == tmp_path / "in"


def test_both_benchmarks_know_the_files(results: Path, tmp_path: Path) -> None:
    (known,) = BENCHMARK.formats

    paths = known.read([results], tmp_path / "in", "m")

    assert known.name == "alpaca_eval"
    assert [Evaluation(path).benchmark for path in paths] == ["alpacaeval"]
