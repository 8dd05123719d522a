"""A run's evaluations lie in the run, and its story tells of them."""

from __future__ import annotations

from tests.runs import folders


def test_a_runs_evaluations_are_in_its_story(align, brief, server, tmp_path):
    folders.finished(tmp_path / "run")
    answered = ["--output-dir", "run/evals/brief", "--endpoint", server.base_url]
    brief("generate", "m", *answered)

    before = align("runs", "show", "run")
    brief("judge", "run", "--judge", "judge", "--judge-endpoint", server.base_url)
    reported = brief("report", "run", "--json")
    after = align("runs", "show", "run", "--json")

    assert "brief  no score yet" in before.out
    overall = reported.document["report"]["models"][0]["overall"]
    (told,) = after.document["evaluations"]
    assert (told["benchmark"], told["score"], told["judge"]) == ("brief", overall["value"], "judge")
    assert told["verdicts"] == overall["n"] == 4


def test_a_run_without_evaluations_says_nothing_of_them(align, tmp_path):
    folders.finished(tmp_path / "run")

    done = align("runs", "show", "run")

    assert "Evaluations" not in done.out
