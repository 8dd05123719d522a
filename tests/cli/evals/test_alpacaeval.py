"""`align eval alpacaeval` with questions and references of the user's own, and a judge that gives probabilities."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Align, Done
from tests.evals.alpacaeval.conftest import PROMPTS, folder_with
from tests.evals.endpoint import Received, Reply, Server, said, serving

NUM_QUESTIONS = 24
QUESTIONS = [
    {"instruction": f"Write {n} words about rivers.", "dataset": "odd" if n % 2 else "even"}
    for n in range(NUM_QUESTIONS)
]
FOLDER = "evals/pupil/alpacaeval"


def judging(request: Received) -> Reply:
    """`judge` prefers by a digest of the request and says how much; everybody else answers, in its own length."""
    model = request.document["model"]
    if model != "judge":
        return said(f"{model} says {'much ' * (len(request.words) % 7 + 3 * len(model) % 5)}about {request.words}")
    share = int(hashlib.sha256(request.words.encode()).hexdigest()[:6], 16) / 16**6 * 0.98 + 0.01
    if not request.document.get("logprobs"):
        ranks = (1, 2) if share > 0.5 else (2, 1)
        return said(str([{"model": f"model_{n}", "rank": rank} for n, rank in enumerate(ranks, start=1)]))
    return preferring(share)


def preferring(share: float) -> Reply:
    """A reply of one token, `m` with this probability."""
    top = [{"token": "m", "logprob": math.log(share)}, {"token": "M", "logprob": math.log(1 - share)}]
    reply = said("m" if share > 0.5 else "M", finish="length")
    reply.document["choices"][0]["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return reply


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_with(PROMPTS, tmp_path_factory.mktemp("assets"))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(judging) as running:
        yield running


@pytest.fixture
def evaluate(align_here: Align, prompts: Path, tmp_path: Path) -> Align:
    (tmp_path / "questions.json").write_text(json.dumps(QUESTIONS))

    def run(*words: str, benchmark: str = "alpacaeval", **env: str | None) -> Done:
        return align_here("eval", benchmark, *words, ALIGN_ASSETS=str(prompts), OPENAI_API_KEY=None, **env)

    return run


@pytest.fixture
def answered_here(evaluate: Align, server: Server) -> Align:
    """`pupil` and `teacher` have answered at this very server."""
    for model in ("pupil", "teacher"):
        done = evaluate("generate", model, "--endpoint", server.base_url, "--questions", "questions.json")
        assert done.code == 0, done.err
    return evaluate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their answers, made once: at another server, so nobody can go on making them."""
    place = tmp_path_factory.mktemp("made")
    (place / "questions.json").write_text(json.dumps(QUESTIONS))
    with serving(judging) as running:
        for model in ("pupil", "teacher"):
            words = ["generate", model, "--endpoint", running.base_url, "--questions", "questions.json"]
            command = [sys.executable, "-m", "align_cli", "eval", "alpacaeval", *words]
            subprocess.run(command, cwd=place, check=True, capture_output=True)
    return place / "evals"


@pytest.fixture
def answered(evaluate: Align, made: Path, tmp_path: Path) -> Align:
    """`pupil` and `teacher` have answered."""
    shutil.copytree(made, tmp_path / "evals")
    return evaluate


def judged_by(server: Server, *more: str) -> list[str]:
    return ["--judge", "judge", "--judge-endpoint", server.base_url, *more]


def records(place: Path, name: str = "judgments.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / name).read_text().splitlines()]


def test_two_models_of_ones_own_are_compared_in_one_command(answered_here, server, tmp_path):
    done = answered_here("pupil", "--endpoint", server.base_url, *judged_by(server, "--reference", "teacher", "--json"))

    assert done.code == 0, done.err
    (model,) = done.document["report"]["models"]
    scores = [one["score"] for one in records(tmp_path / FOLDER)]
    assert len(scores) == NUM_QUESTIONS
    assert model["metrics"]["win_rate"] == pytest.approx(sum(scores) / len(scores), abs=1e-9)
    assert model["metrics"]["n_wins"] + model["metrics"]["n_wins_base"] == NUM_QUESTIONS
    assert any("length_controlled_minimal" in note for note in done.document["report"]["notes"])
    assert model["headline"]["name"] == "win_rate"
    assert done.document["report"]["reference"] == "teacher"
    sent = [one.document for one in server.received if one.document["model"] == "judge"]
    assert {(one["max_tokens"], one["logprobs"], one["top_logprobs"]) for one in sent} == {(1, True, 5)}


def test_version_1_reads_rankings_and_takes_over_the_answers(answered_here, server, tmp_path):
    more = ["--questions", "questions.json", "--endpoint", server.base_url]
    before = len(server.received)

    generated = answered_here("generate", "pupil", *more, benchmark="alpacaeval1")
    asked = len(server.received) - before
    answered_here("generate", "teacher", *more, benchmark="alpacaeval1")
    judged = answered_here(
        "judge", "pupil", *judged_by(server, "--reference", "teacher", "--json"), benchmark="alpacaeval1"
    )
    report = answered_here("report", "pupil", "--json", benchmark="alpacaeval1")

    assert f"{NUM_QUESTIONS} answers are taken over" in generated.err
    assert asked == 0
    assert judged.document["states"] == {"ok": NUM_QUESTIONS}
    assert {one["score"] for one in records(tmp_path / "evals/pupil/alpacaeval1")} == {0.0, 100.0}
    assert report.document["report"]["models"][0]["headline"]["name"] == "win_rate"


def test_a_file_of_outputs_is_a_reference_too_and_is_kept_with_the_verdicts(answered, server, tmp_path):
    outputs = [{**row, "output": f"short {n}", "generator": "brief"} for n, row in enumerate(QUESTIONS[:10])]
    (tmp_path / "outputs.json").write_text(json.dumps(outputs))

    done = answered("judge", "pupil", *judged_by(server, "--reference", "outputs.json", "--json"))
    (tmp_path / "outputs.json").unlink()
    report = answered("report", "pupil", "--json")

    assert done.document["states"] == {"ok": 10}
    assert {one["reference"] for one in records(tmp_path / FOLDER)} == {"brief"}
    assert report.document["report"]["reference"] == "brief"
    assert report.document["report"]["models"][0]["metrics"]["n_total"] == 10


def test_other_outputs_of_the_same_name_are_refused(answered, server, tmp_path):
    file = tmp_path / "outputs.json"
    for text in ("first", "second"):
        file.write_text(json.dumps([{**QUESTIONS[0], "output": text, "generator": "brief"}]))
        done = answered("judge", "pupil", *judged_by(server, "--reference", "outputs.json"))

    assert done.code == 2
    assert 'other answers of "brief"' in done.err
    assert len(records(tmp_path / FOLDER)) == 1


def test_a_report_is_of_one_reference(answered, server, tmp_path):
    (tmp_path / "outputs.json").write_text(
        json.dumps([{**row, "output": "short", "generator": "brief"} for row in QUESTIONS])
    )
    answered("judge", "pupil", *judged_by(server, "--reference", "teacher"))
    answered("judge", "pupil", *judged_by(server, "--reference", "outputs.json"))

    unsaid = answered("report", "pupil")
    said_which = answered("report", "pupil", "--reference", "brief", "--json")
    wrong = answered("report", "pupil", "--reference", "nobody")

    assert unsaid.code == 2
    assert "brief: 24 judgments" in unsaid.err
    assert "--reference NAME" in unsaid.err
    assert said_which.document["report"]["models"][0]["metrics"]["n_total"] == NUM_QUESTIONS
    assert wrong.code == 2


def test_equal_answers_are_a_draw_and_cost_nothing(answered, server, tmp_path):
    before = len(server.received)

    done = answered("judge", "pupil", *judged_by(server, "--reference", "pupil", "--json"))

    assert len(server.received) == before
    assert (done.document["asked"], done.document["taken_over"]) == (NUM_QUESTIONS, NUM_QUESTIONS)
    assert {one["score"] for one in records(tmp_path / FOLDER)} == {50.0}


def test_replies_are_shared_between_evaluations_that_want_it(answered, server, tmp_path):
    words = judged_by(server, "--reference", "teacher", "--share", "--json")
    answered("judge", "pupil", *words)
    scores = {one["question_id"]: one["score"] for one in records(tmp_path / FOLDER)}
    (tmp_path / FOLDER / "judgments.jsonl").unlink()
    before = len(server.received)

    shared = answered("judge", "pupil", *words)
    asked_for_shared = len(server.received) - before
    (tmp_path / FOLDER / "judgments.jsonl").unlink()
    answered("judge", "pupil", *judged_by(server, "--reference", "teacher"))  # a server of one's own: not by itself

    assert asked_for_shared == 0
    assert shared.document["taken_over"] == NUM_QUESTIONS
    assert {one["question_id"]: one["score"] for one in records(tmp_path / FOLDER)} == scores
    assert len(server.received) - before == NUM_QUESTIONS


def test_a_judge_without_probabilities_is_given_up_early(answered, prompts, tmp_path):
    pupil = records(tmp_path / FOLDER, "answers.jsonl")
    rows = [{**row, "output": f"short {n}", "generator": "brief"} for n, row in enumerate(QUESTIONS)]
    rows[0]["output"] = pupil[0]["text"]  # a draw that nobody is asked for says nothing of the judge
    (tmp_path / "outputs.json").write_text(json.dumps(rows))
    with serving(lambda request: said("m", finish="length")) as plain:
        done = answered("judge", "pupil", *judged_by(plain, "--reference", "outputs.json", "--in-flight", "1"))

    assert done.code == 2
    assert "logprobs" in done.err
    kept = records(tmp_path / FOLDER)
    assert [one["state"] for one in kept[:2]] == ["ok", "unreadable"]
    assert 21 <= len(kept) < NUM_QUESTIONS


def test_a_reference_that_cannot_be_had_is_said_before_a_model_is_asked(evaluate, server):
    for wrong, message in (("nope.json", "no such file"), ("nope", "no alpacaeval answers of it")):
        words = ["pupil", "--endpoint", server.base_url, "--questions", "questions.json"]
        done = evaluate(*words, *judged_by(server, "--reference", wrong))
        assert done.code == 2
        assert message in done.err
    assert not server.received


def test_the_benchmarks_own_reference_has_no_answers_to_own_questions(evaluate, server, prompts):
    done = evaluate("pupil", "--endpoint", server.base_url, "--questions", "questions.json", *judged_by(server))

    assert done.code in (2, 3)  # 3: without a network the reference itself cannot be had
    assert not server.received


def test_the_gate_is_the_figure_that_is_published(answered, server):
    answered("judge", "pupil", *judged_by(server, "--reference", "teacher"))

    passed = answered("report", "pupil", "--fail-below", "1")
    failed = answered("report", "pupil", "--fail-below", "99")

    assert passed.code == 0
    assert failed.code == 7
    assert "pupil: win_rate" in failed.err


def test_questions_of_ones_own_are_gone_on_with(evaluate, server, tmp_path):
    words = ["generate", "pupil", "--endpoint", server.base_url]
    evaluate(*words, "--questions", "questions.json", "--first", "2")

    done = evaluate(*words, "--json")

    assert (done.document["answered"], done.document["were_there"]) == (NUM_QUESTIONS - 4, 4)
    (tmp_path / "questions.json").write_text(json.dumps(QUESTIONS[:3]))
    changed = evaluate(*words, "--questions", "questions.json")
    assert changed.code == 2
    assert "questions.count" in changed.err


def test_another_benchmark_has_no_such_options(align, tmp_path):
    (tmp_path / "q.json").write_text("[]")

    own = align("eval", "mtbench", "generate", "m", "--endpoint", "http://127.0.0.1:9/v1", "--questions", "q.json")
    reference = align("eval", "mtbench", "judge", "m", "--judge-endpoint", "http://127.0.0.1:9/v1", "--reference", "x")

    assert own.code == reference.code == 2
    assert "mtbench has no --questions" in own.err
    assert 'mtbench has no references "x"' in reference.err


def test_what_another_reference_has_in_common_is_judged_for_it_too_without_asking(answered, server, tmp_path):
    rows = [{**row, "output": f"short {n}", "generator": "one"} for n, row in enumerate(QUESTIONS[:6])]
    (tmp_path / "one.json").write_text(json.dumps(rows))
    (tmp_path / "two.json").write_text(json.dumps([{**row, "generator": "two"} for row in rows]))
    answered("judge", "pupil", *judged_by(server, "--reference", "one.json"))
    before = len(server.received)

    done = answered("judge", "pupil", *judged_by(server, "--reference", "two.json", "--json"))

    assert len(server.received) == before
    assert done.document["taken_over"] == 6
    for name in ("one", "two"):
        report = answered("report", "pupil", "--reference", name, "--json").document["report"]
        assert report["models"][0]["metrics"]["n_total"] == 6


def test_a_reference_may_grow_and_what_it_lacks_is_said(answered, server, tmp_path):
    rows = [{**row, "output": f"short {n}", "generator": "brief"} for n, row in enumerate(QUESTIONS)]
    (tmp_path / "outputs.json").write_text(json.dumps(rows[:6]))
    first = answered("judge", "pupil", *judged_by(server, "--reference", "outputs.json"))
    (tmp_path / "outputs.json").write_text(json.dumps(rows))

    grown = answered("judge", "pupil", *judged_by(server, "--reference", "outputs.json", "--json"))
    (tmp_path / "outputs.json").unlink()
    named = answered("judge", "pupil", *judged_by(server, "--reference", "brief", "--json"))

    assert "brief has not answered 18 of 24 questions" in first.err
    assert (grown.document["were_there"], grown.document["asked"]) == (6, NUM_QUESTIONS - 6)
    assert (named.document["were_there"], named.document["asked"]) == (NUM_QUESTIONS, 0)


@pytest.mark.parametrize(
    ("option", "step"), [("--max-cost", "judge"), ("--fail-below", "report"), ("--temperature", "generate")]
)
def test_no_number_is_refused(answered, server, option, step):
    words = {"judge": judged_by(server, "--price", "1,1", "--reference", "teacher"), "report": [], "generate": []}[step]
    more = ["--endpoint", server.base_url] if step == "generate" else []

    done = answered(step, "pupil", *words, *more, option, "nan")

    assert done.code == 2
    assert f"{option} is nan" in done.err


def test_nobody_is_asked_for_a_yes_where_nothing_is_left_to_ask(answered_here, server):
    words = ["pupil", "--endpoint", server.base_url, *judged_by(server, "--reference", "teacher", "--price", "1,1")]
    unasked = answered_here(*words)
    answered_here(*words, "--yes")

    again = answered_here(*words)

    assert unasked.code == 2
    assert "nobody is here to be asked" in unasked.err
    assert again.code == 0, again.err


def test_changed_questions_are_refused(answered, server, tmp_path):
    place = tmp_path / FOLDER / "questions.jsonl"
    place.write_text(place.read_text().replace("rivers", "lakes"))

    for words in (["report", "pupil"], ["judge", "pupil", *judged_by(server, "--reference", "teacher")]):
        done = answered(*words)
        assert done.code == 3
        assert "not the questions that were asked" in done.err


def test_half_a_surrogate_pair_travels_through_everything(evaluate, tmp_path):
    def answer(request: Received) -> Reply:
        return judging(request) if request.document["model"] == "judge" else said("half \ud800 a pair")

    with serving(answer) as odd:
        for model in ("pupil", "teacher"):
            evaluate("generate", model, "--endpoint", odd.base_url, "--questions", "questions.json", "--first", "1")
        done = evaluate("judge", "pupil", *judged_by(odd, "--reference", "teacher", "--first", "1", "--json"))
        report = evaluate("report", "pupil", "--json")

    assert done.code == 0, done.err
    assert report.code == 0, report.err
    (tmp_path / FOLDER / "answers.jsonl").read_text(encoding="utf-8")
    assert {one["text"] for one in records(tmp_path / FOLDER, "answers.jsonl")} == {"half \ud800 a pair"}
