"""Answers of a model on this machine, through the command line."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.end_to_end.conftest import tiny as tiny
from tests.evals.endpoint import serving

pytestmark = pytest.mark.slow
TEXTS = ("question_id", "turn", "text", "state", "new_tokens")


def texts(place: Path) -> list[tuple]:
    rows = [json.loads(line) for line in (place / "answers.jsonl").read_text().splitlines()]
    return sorted(tuple(str(row[name]) for name in TEXTS) for row in rows)


def test_a_model_is_spoken_to_with_its_own_template_and_named_by_its_digest(brief, tiny, tmp_path):
    done = brief("generate", str(tiny), "--max-new-tokens", "5", "--json")

    assert done.code == 0, done.err
    assert done.document["answered"] == 4
    place = tmp_path / done.document["evaluation"]
    facts = json.loads((place / "evaluation.json").read_text())
    assert facts["model"]["template"]["from"] == "the model's own"
    assert len(facts["model"]["base"]["digest"]) == 64
    assert facts["manner"]["max_new_tokens"] == 5
    assert "template: the model's own, system prompt: none" in done.err


def test_a_second_run_opens_no_model(brief, tiny):
    brief("generate", str(tiny), "--max-new-tokens", "5")

    again = brief("generate", str(tiny), "--max-new-tokens", "5", "--json")

    assert (again.document["answered"], again.document["were_there"]) == (0, 4)
    assert "opening" not in again.err


@pytest.mark.parametrize("temperature", ["0", "0.8"])
def test_a_run_that_is_killed_goes_on_to_the_same_answers(brief, start, tiny, tmp_path, temperature):
    how = [str(tiny), "--max-new-tokens", "60", "--batch-size", "1", "--temperature", temperature]
    whole = brief("generate", *how, "--output-dir", "whole", "--json")
    assert whole.code == 0, whole.err

    running = start("generate", *how, "--output-dir", "killed")
    answers = tmp_path / "killed" / "answers.jsonl"
    while running.poll() is None and not (answers.exists() and answers.read_text().count("\n") >= 1):
        os.sched_yield()
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=60)
    kept = texts(tmp_path / "killed")
    again = brief("generate", *how, "--output-dir", "killed", "--json")

    assert again.code == 0, again.err
    assert set(kept) <= set(texts(tmp_path / "killed"))
    assert again.document["were_there"] == len(kept)
    assert texts(tmp_path / "killed") == texts(tmp_path / "whole")


def test_one_command_answers_judges_and_reports(brief, tiny, tmp_path):
    with serving(lambda request: "Score: 4") as server:
        words = ["--judge", "judge", "--judge-endpoint", server.base_url, "--max-new-tokens", "5"]
        done = brief(str(tiny), *words, "--name", "tiny", "--json")

    (model,) = done.document["report"]["models"]
    assert (model["name"], model["overall"]["value"], model["overall"]["n"]) == ("tiny", 4.0, 4)
    assert (tmp_path / "evals/tiny/brief/report.html").is_file()


def test_a_model_without_a_template_is_told_before_it_is_loaded(brief, tiny, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in tiny.iterdir():
        if file.name != "chat_template.jinja":
            (bare / file.name).write_bytes(file.read_bytes())
    about = json.loads((bare / "tokenizer_config.json").read_text())
    about.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(about))

    done = brief("generate", str(bare))

    assert done.code == 2
    assert "no chat template" in done.err
    assert not (tmp_path / "evals").exists() or not list((tmp_path / "evals").rglob("answers.jsonl"))
