"""alpaca_eval's files out of evaluation folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from align_cli import files
from align_cli.errors import DataError, UsageError
from align_cli.evals.alpacaeval import BENCHMARK
from align_cli.evals.alpacaeval.original import export_original, import_original
from align_cli.evals.alpacaeval.original.annotations import judgment_of
from align_cli.evals.alpacaeval.versions import VERSION_1, VERSION_2, Version
from align_cli.evals.benchmark import Computing
from align_cli.evals.folder import Evaluation
from align_cli.evals.judgments import Judgment, record_of
from align_cli.evals.records import Journal
from align_cli.evals.report import report
from tests.evals.alpacaeval.original.rows import ANNOTATOR, PLAIN, REFERENCE, SWITCHED, annotation, choice, written

LOCAL = {
    "name": "zephyr",
    "base": {"revision": None, "digest": "d"},
    "adapters": [],
    "template": {"from": "the model's own", "prompt": "<|user|>\n{instruction}</s>\n<|assistant|>\n"},
}
MANNER = {
    "engine": "transformers",
    "seed": 0,
    "temperature": None,
    "max_new_tokens": None,
    "system": None,
    "dtype": "bfloat16",
}


def evaluation(
    place: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    version: Version = VERSION_2,
    model: Mapping[str, Any] | None = None,
    manner: Mapping[str, Any] | None = None,
    judgments: Sequence[Judgment] = (),
) -> Evaluation:
    """What importing such rows makes; with a manner, as if the answers were made here."""
    path = written(place.parent / f"{place.name}.json", rows)
    (one,) = import_original(version, path, place)
    facts = dict(one.facts)
    if manner is not None:
        facts = {**facts, "model": {**(model or LOCAL), "name": one.model}, "manner": dict(manner)}
        files.write_json(one.path / "evaluation.json", facts)
    journal = Journal(one.path / "judgments.jsonl")
    for judgment in judgments:
        journal.add(record_of(judgment))
    journal.close()
    return Evaluation(one.path)


def rows_in(path: Path) -> Any:
    return json.loads(path.read_text())


def cells(path: Path) -> dict[str, str]:
    (row,) = csv.DictReader(path.read_text().splitlines())
    return row


def test_files_lie_as_in_a_submission(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "a", [annotation(), annotation(SWITCHED)], manner=MANNER)

    paths = export_original(VERSION_2, [one], tmp_path / "out")

    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths] == [
        "results/m/model_outputs.json",
        f"results/m/{ANNOTATOR}/annotations.json",
        f"results/m/{ANNOTATOR}/leaderboard.csv",
        "src/alpaca_eval/models_configs/m/configs.yaml",
        "src/alpaca_eval/models_configs/m/prompt.txt",
    ]
    outputs = rows_in(paths[0])
    assert [list(row) for row in outputs] == [["dataset", "instruction", "output", "generator"]] * 2
    assert outputs[0] == {"dataset": "koala", "instruction": PLAIN, "output": "ours", "generator": "m"}


def test_an_annotation_has_the_originals_fields_in_its_order(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "a", [annotation(preference=None, raw_completion=choice(0.5))])

    _, annotations, _ = export_original(VERSION_2, [one], tmp_path / "out")

    assert list(rows_in(annotations)[0].items()) == [
        ("instruction", PLAIN),
        ("output_1", "theirs"),
        ("generator_1", REFERENCE),
        ("dataset", "koala"),
        ("output_2", "ours"),
        ("generator_2", "m"),
        ("annotator", ANNOTATOR),
        ("preference", None),
        ("price_per_example", None),
        ("time_per_example", None),
        ("raw_completion", choice(0.5)),
    ]


def test_what_is_exported_is_imported_with_equal_numbers(synth: Path, tmp_path: Path) -> None:
    first = import_original(VERSION_2, synth, tmp_path / "first")

    export_original(VERSION_2, first, tmp_path / "exported")
    second = import_original(VERSION_2, tmp_path / "exported", tmp_path / "second")

    assert len(first) == 3
    assert [one.model for one in second] == [one.model for one in first]
    assert [one.answers() for one in second] == [one.answers() for one in first]
    assert [one.questions() for one in second] == [one.questions() for one in first]
    made = [
        report.make(
            evaluations,
            benchmark=BENCHMARK,
            questions=evaluations[0].questions() or [],
            computing=Computing(length_control=synth / "df_gamed.csv"),
        )
        for evaluations in (first, second)
    ]
    for one in made[0].models:
        again = made[1].model(one.name).metrics
        for name, value in one.metrics.items():
            if name != "length_control":
                assert again[name] == pytest.approx(value, abs=1e-9)


def test_stored_preferences_nulls_and_replies_go_through_a_folder(synth: Path, tmp_path: Path) -> None:
    path = synth / "annotations_model_messy.json"
    stored = rows_in(path)

    _, annotations, _ = export_original(VERSION_2, import_original(VERSION_2, path, tmp_path / "in"), tmp_path / "out")

    again = rows_in(annotations)
    assert [row["instruction"] for row in again] == [row["instruction"] for row in stored]
    assert [row["raw_completion"] for row in again] == [row["raw_completion"] for row in stored]
    for one, other in zip(again, stored, strict=True):
        expected = 1.5 if other["preference"] == 0 else other["preference"]
        assert one["preference"] == pytest.approx(expected, abs=1e-12)


def test_the_leaderboards_row_is_the_reports(tmp_path: Path) -> None:
    rows = [annotation(PLAIN, 2.0), annotation(SWITCHED, 1.25)]

    *_, leaderboard = export_original(VERSION_2, [evaluation(tmp_path / "a", rows)], tmp_path / "out")

    assert cells(leaderboard) == {
        "": "m",
        "win_rate": "62.5",
        "standard_error": "37.5",
        "n_wins": "1",
        "n_wins_base": "1",
        "n_draws": "0",
        "n_total": "2",
        "discrete_win_rate": "50.0",
        "mode": "community",
        "avg_length": "4",
        "length_controlled_winrate": "",
        "lc_standard_error": "",
    }


def test_every_judge_and_every_reference_has_a_folder(tmp_path: Path) -> None:
    known = judgment_of(VERSION_2, annotation(preference=1.0))
    at = [
        replace(known, key=endpoint, judge={"model": "org/judge", "endpoint": endpoint}, score=score)
        for endpoint, score in (("http://a", 10.0), ("http://b", 20.0))
    ]
    rows = [annotation(), annotation(preference=1.5, generator_1="org/base", output_1="x"), annotation(annotator="cot")]
    one = evaluation(tmp_path / "a", rows, judgments=at)

    export_original(VERSION_2, [one], tmp_path / "out")

    found = {path.parent.name: rows_in(path)[0] for path in (tmp_path / "out").rglob("annotations.json")}
    assert {name: (row["annotator"], row["generator_1"], row["preference"]) for name, row in found.items()} == {
        ANNOTATOR: (ANNOTATOR, REFERENCE, 1.75),
        f"{ANNOTATOR}_vs_org-base": (ANNOTATOR, "org/base", 1.5),
        "cot": ("cot", REFERENCE, 1.75),
        "org-judge": ("org-judge", REFERENCE, 1.1),
        "org-judge-2": ("org-judge-2", REFERENCE, 1.2),
    }
    (again,) = import_original(VERSION_2, tmp_path / "out", tmp_path / "again")
    assert len(again.judgments()) == 5


def test_version_1_has_its_own_annotator(tmp_path: Path) -> None:
    row = annotation(annotator="alpaca_eval_gpt4", generator_1="text_davinci_003")
    one = evaluation(tmp_path / "a", [row], version=VERSION_1)

    _, annotations, leaderboard = export_original(VERSION_1, [one], tmp_path / "out")

    assert annotations.parent.name == "alpaca_eval_gpt4"
    assert cells(leaderboard)["win_rate"] == "75.0"


def test_a_request_without_a_verdict_gives_way_to_one_with(tmp_path: Path) -> None:
    failed = replace(judgment_of(VERSION_2, annotation()), key="f", state="failed", score=None)

    _, annotations, _ = export_original(
        VERSION_2, [evaluation(tmp_path / "a", [annotation()], judgments=[failed])], tmp_path / "out"
    )

    assert [row["preference"] for row in rows_in(annotations)] == [1.75]


def test_a_model_of_this_machine_is_configured_as_the_original_configures_one(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "a", [annotation(model="org/zephyr")], manner=MANNER)

    *_, configs, prompt = export_original(VERSION_2, [one], tmp_path / "out")

    assert yaml.safe_load(configs.read_text()) == {
        "org-zephyr": {
            "prompt_template": "org-zephyr/prompt.txt",
            "fn_completions": "huggingface_local_completions",
            "completions_kwargs": {
                "model_name": "org/zephyr",
                "model_kwargs": {"torch_dtype": "bfloat16"},
                "max_new_tokens": 2048,
                "temperature": 0.7,
                "top_p": 1.0,
                "do_sample": True,
            },
            "pretty_name": "org/zephyr",
            "link": "",
        }
    }
    assert prompt.read_text() == LOCAL["template"]["prompt"]  # type: ignore[index]


def test_what_is_not_known_of_a_model_is_left_to_the_user_and_said(tmp_path: Path) -> None:
    model = {**LOCAL, "template": {"from": "the model's own"}}
    manner = {**MANNER, "temperature": 0.0, "max_new_tokens": 64, "dtype": "auto"}
    one = evaluation(tmp_path / "a", [annotation()], model=model, manner=manner)

    *_, configs, prompt = export_original(VERSION_2, [one], tmp_path / "out")

    text = configs.read_text()
    arguments = yaml.safe_load(text)["m"]["completions_kwargs"]
    assert arguments == {"model_name": "m", "max_new_tokens": 64, "do_sample": False}
    assert prompt.read_text() == "{instruction}"
    for part in ("# prompt.txt: the chat template is not known", "# model_name: ", "# model_kwargs: ", "# link: "):
        assert part in text


@pytest.mark.parametrize("system", [None, "Be brief."])
def test_a_model_of_an_endpoint_is_asked_there(tmp_path: Path, system: str | None) -> None:
    model = {"served": {"model": "org/served", "endpoint": "http://127.0.0.1:1/v1"}}
    manner = {**MANNER, "engine": "endpoint", "temperature": 0.0, "system": system}
    one = evaluation(tmp_path / "a", [annotation()], model=model, manner=manner)

    *_, configs, prompt = export_original(VERSION_2, [one], tmp_path / "out")

    config = yaml.safe_load(configs.read_text())["m"]
    assert config["fn_completions"] == "openai_completions"
    assert config["completions_kwargs"] == {
        "model_name": "org/served",
        "max_tokens": 2048,
        "temperature": 0.0,
        "requires_chatml": True,
        "client_kwargs": {"base_url": "http://127.0.0.1:1/v1"},
    }
    before = f"<|im_start|>system\n{system}\n<|im_end|>\n" if system else ""
    assert prompt.read_text() == f"{before}<|im_start|>user\n{{instruction}}\n<|im_end|>"


def test_how_imported_answers_were_made_is_not_made_up(tmp_path: Path) -> None:
    export_original(VERSION_2, [evaluation(tmp_path / "a", [annotation()])], tmp_path / "out")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results"]


def test_files_that_are_there_are_never_written_over(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "a", [annotation()])
    there = written(tmp_path / "out" / "results" / "m" / ANNOTATOR / "annotations.json", [])

    with pytest.raises(UsageError, match=r"annotations\.json: already there"):
        export_original(VERSION_2, [one], tmp_path / "out")

    assert rows_in(there) == []
    assert not (tmp_path / "out" / "results" / "m" / "model_outputs.json").exists()


def test_evaluations_that_cannot_stand_side_by_side_are_refused(tmp_path: Path) -> None:
    one, same, near = (
        evaluation(tmp_path / name, [annotation(model=model)])
        for name, model in (("x", "m/a"), ("y", "m/a"), ("z", "m-a"))
    )

    with pytest.raises(UsageError, match="several evaluations are of m/a"):
        export_original(VERSION_2, [one, same], tmp_path / "out")
    with pytest.raises(UsageError, match="m/a, m-a would share a folder"):
        export_original(VERSION_2, [one, near], tmp_path / "out")
    with pytest.raises(UsageError, match="not an evaluation with alpacaeval1"):
        export_original(VERSION_1, [one], tmp_path / "out")


def test_judges_that_would_share_a_folder_are_refused(tmp_path: Path) -> None:
    rows = [annotation(annotator="org/judge"), annotation(annotator="org-judge")]

    with pytest.raises(UsageError, match="two of its judges would share"):
        export_original(VERSION_2, [evaluation(tmp_path / "a", rows)], tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_verdicts_of_one_judge_from_elsewhere_and_with_another_prompt_are_kept_apart(tmp_path: Path) -> None:
    known = judgment_of(VERSION_2, annotation())
    here = replace(known, key="here", judge={**known.judge, "endpoint": "http://a"}, score=10.0)
    other = replace(known, key="other", prompt="mine", score=20.0)
    one = evaluation(tmp_path / "a", [annotation()], judgments=[here, other])

    export_original(VERSION_2, [one], tmp_path / "out")

    found = {path.parent.name: cells(path)["win_rate"] for path in (tmp_path / "out").rglob("leaderboard.csv")}
    assert found == {ANNOTATOR: "75.0", f"{ANNOTATOR}-2": "10.0", "gpt-4-1106-preview": "20.0"}


@pytest.mark.parametrize("file", ["answers.jsonl", f"references/{REFERENCE}.json"])
def test_a_judged_answer_that_is_gone_is_told_of(tmp_path: Path, file: str) -> None:
    one = evaluation(tmp_path / "a", [annotation(generator_1="base"), annotation()])
    rows = [annotation(generator_1="base")] if "references" in file else []
    (one.path / file).unlink()
    if rows:
        (one.path / "references" / "base.json").unlink()

    with pytest.raises(DataError):
        export_original(VERSION_2, [Evaluation(one.path)], tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_changed_questions_are_told_of(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "a", [annotation(), annotation(SWITCHED)])
    lines = (one.path / "questions.jsonl").read_text().splitlines(keepends=True)
    (one.path / "questions.jsonl").write_text(lines[0])

    with pytest.raises(DataError, match="the file was changed"):
        export_original(VERSION_2, [Evaluation(one.path)], tmp_path / "out")


def test_questions_that_are_gone_are_told_of(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "a", [annotation()])
    (one.path / "questions.jsonl").unlink()

    with pytest.raises(DataError, match="the questions that were asked are gone"):
        export_original(VERSION_2, [Evaluation(one.path)], tmp_path / "out")
