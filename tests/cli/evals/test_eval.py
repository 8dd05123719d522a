"""`align eval`: answers, judgments and a report of a benchmark that a package of its own brings."""

from __future__ import annotations

import json
import signal
import threading

import pytest

from tests.cli.evals.conftest import NUM_TURNS, answering_and_judging
from tests.evals.endpoint import Reply, error, said

OF_JUDGE = "evals/m/brief"


def words(server, *more: str) -> list[str]:
    """A model that the server has, judged by the judge that it has."""
    return ["m", "--endpoint", server.base_url, "--judge", "judge", "--judge-endpoint", server.base_url, *more]


def records(place, name: str) -> list[dict]:
    return [json.loads(line) for line in (place / OF_JUDGE / name).read_text().splitlines()]


def test_the_list_has_built_in_benchmarks_and_those_of_plugins(align, brief, site):
    done = align("eval", "ls", "--json", PYTHONPATH=str(site))

    rows = {row["name"]: row for row in done.document}
    assert rows["mtbench"]["from"] == "align"
    assert rows["brief"]["from"] == "align-brief"
    assert rows["brief"]["judge"] == "gpt-4o"


def test_one_command_answers_judges_and_reports(brief, server, tmp_path):
    done = brief(*words(server))

    assert done.code == 0, done.err
    assert "brief" in done.out
    assert "report.html" in done.out
    assert "template: the server's" in done.err
    assert len(records(tmp_path, "answers.jsonl")) == NUM_TURNS
    assert {one["state"] for one in records(tmp_path, "judgments.jsonl")} == {"ok"}
    report = json.loads((tmp_path / OF_JUDGE / "report.json").read_text())
    expected = [one["score"] for one in records(tmp_path, "judgments.jsonl")]
    assert report["models"][0]["overall"]["value"] == pytest.approx(sum(expected) / len(expected))


def test_a_second_turn_is_asked_with_the_first_answer(brief, server):
    brief(*words(server))

    second = next(one for one in server.received if "five words" in one.words and one.document["model"] == "m")
    assert [message["role"] for message in second.document["messages"]] == ["user", "assistant", "user"]
    assert second.document["messages"][1]["content"] == "About Why does it rain? On"


def test_the_steps_are_the_whole(brief, server, tmp_path):
    judged_by = ["--judge", "judge", "--judge-endpoint", server.base_url]

    answered = brief("generate", "m", "--endpoint", server.base_url, "--json")
    judged = brief("judge", "m", *judged_by, "--json")
    reported = brief("report", OF_JUDGE, "--json")

    assert answered.document["answered"] == NUM_TURNS
    assert judged.document["states"] == {"ok": NUM_TURNS}
    assert reported.document["report"]["models"][0]["overall"]["n"] == NUM_TURNS
    whole = brief(*words(server), "--output-dir", "other", "--json")
    ours, theirs = reported.document["report"], whole.document["report"]
    assert ours["models"][0]["overall"] == theirs["models"][0]["overall"]


def test_what_is_there_is_not_asked_again(brief, server, tmp_path):
    brief(*words(server))
    asked = len(server.received)
    first = (tmp_path / OF_JUDGE / "report.json").read_bytes(), (tmp_path / OF_JUDGE / "report.html").read_bytes()

    done = brief(*words(server), "--json")

    assert len(server.received) == asked
    assert (done.document["generate"]["answered"], done.document["judge"]["asked"]) == (0, 0)
    assert ((tmp_path / OF_JUDGE / "report.json").read_bytes(), (tmp_path / OF_JUDGE / "report.html").read_bytes()) == (
        first
    )


def test_a_judge_that_is_killed_goes_on_and_pays_nothing_twice(brief, start, server, tmp_path):
    brief("generate", "m", "--endpoint", server.base_url)
    before = len(server.received)
    gate = threading.Event()
    server.answer = lambda request: said("Score: 3") if request.nth > 1 or _is_early(server, before) else _held(gate)

    judging = start("judge", "m", "--judge", "judge", "--judge-endpoint", server.base_url, "--in-flight", "1")
    server.wait_for(before + 3)
    judging.send_signal(signal.SIGKILL)
    judging.wait(timeout=30)
    gate.set()
    kept = records(tmp_path, "judgments.jsonl")
    done = brief("judge", "m", "--judge", "judge", "--judge-endpoint", server.base_url, "--json")

    assert len(kept) == 2
    assert done.document["were_there"] == 2
    assert done.document["asked"] == NUM_TURNS - 2
    again = {key: count for key, count in server.asked.items() if count > 1}
    assert not set(again) & {one["key"] for one in kept}
    assert len(records(tmp_path, "judgments.jsonl")) == NUM_TURNS


def _is_early(server, before: int) -> bool:
    return len(server.received) - before <= 2


def _held(gate: threading.Event) -> Reply:
    reply = said("Score: 3")
    return Reply(document=reply.document, until=gate)


def test_two_judges_at_once_are_refused(brief, start, server):
    brief("generate", "m", "--endpoint", server.base_url)
    gate, before = threading.Event(), len(server.received)
    server.answer = lambda request: _held(gate)
    judge = ["judge", "m", "--judge", "judge", "--judge-endpoint", server.base_url]
    first = start(*judge)
    server.wait_for(before + 1)

    second = brief(*judge)
    gate.set()
    first.communicate(timeout=60)

    assert second.code == 2
    assert f"align eval brief judge (process {first.pid}) is at work in this folder" in second.err
    assert first.returncode == 0


def test_ctrl_c_keeps_what_was_judged(brief, start, server, tmp_path):
    brief("generate", "m", "--endpoint", server.base_url)
    gate, before = threading.Event(), len(server.received)
    server.answer = lambda request: said("Score: 3") if _is_early(server, before) else _held(gate)
    judge = ["judge", "m", "--judge", "judge", "--judge-endpoint", server.base_url, "--in-flight", "1"]
    judging = start(*judge)
    server.wait_for(before + 3)

    judging.send_signal(signal.SIGINT)
    assert judging.stderr is not None
    err = next(line for line in judging.stderr if "stopping: replies that are on their way" in line)
    gate.set()
    err += judging.communicate(timeout=60)[1]

    assert judging.returncode == 130, err
    assert "stopped; 3 of 4 judgments are there and kept" in err
    assert "Traceback" not in err
    assert len(records(tmp_path, "judgments.jsonl")) == 3


def test_an_expired_key_stops_everything_at_once_and_is_never_shown(brief, server):
    server.key = "sk-right-0123456789abcdef"
    brief("generate", "m", "--endpoint", server.base_url, OPENAI_API_KEY=server.key)
    before = len(server.received)

    wrong = "sk-wrong-0123456789abcdef"
    done = brief(
        "judge", "m", "--judge", "judge", "--judge-endpoint", server.base_url, "--in-flight", "1",
        OPENAI_API_KEY=wrong,
    )  # fmt: skip

    assert done.code == 6
    assert "OPENAI_API_KEY" in done.err
    assert wrong not in done.err
    assert "Traceback" not in done.err
    assert len(server.received) - before == 1


def test_a_verdict_that_cannot_be_read_is_counted_and_asked_again_only_if_wanted(brief, server, tmp_path):
    brief("generate", "m", "--endpoint", server.base_url)
    server.answer = lambda request: said("I would rather not say.")
    judge = ["judge", "m", "--judge", "judge", "--judge-endpoint", server.base_url, "--json"]

    first = brief(*judge)
    second = brief(*judge)
    server.answer = answering_and_judging
    third = brief(*judge, "--retry", "unreadable")

    assert first.document["states"] == {"unreadable": NUM_TURNS}
    assert second.document["asked"] == 0
    assert third.document["states"] == {"ok": NUM_TURNS}
    report = brief("report", "m", "--json").document["report"]
    assert report["models"][0]["overall"]["n"] == NUM_TURNS


def test_a_request_that_failed_is_asked_again_by_itself(brief, server):
    brief("generate", "m", "--endpoint", server.base_url)
    judge = ["judge", "m", "--judge", "judge", "--judge-endpoint", server.base_url, "--in-flight", "1", "--json"]
    server.next(*[error(400, "this content cannot be handled", code="content_filter")] * NUM_TURNS)

    filtered = brief(*judge)
    again = brief(*judge, "--retry", "filtered")

    assert filtered.document["states"] == {"filtered": NUM_TURNS}
    assert again.document["states"] == {"ok": NUM_TURNS}


@pytest.mark.parametrize("step", ["run", "judge"])
def test_nobody_is_billed_without_a_yes(brief, server, step):
    brief("generate", "m", "--endpoint", server.base_url)
    before = len(server.received)
    given = ["judge", "m"] if step == "judge" else ["m", "--endpoint", server.base_url]

    done = brief(*given, "--judge-endpoint", "https://judge.example.com/v1", OPENAI_API_KEY="sk-0123456789abcdefgh")

    assert done.code == 2
    assert "--yes" in done.err
    assert len(server.received) == before


def test_a_dry_run_tells_the_cost_without_a_key(brief, server):
    brief("generate", "m", "--endpoint", server.base_url)

    done = brief("judge", "m", "--judge", "gpt-4o", "--dry-run", "--json")

    assert done.code == 0, done.err
    estimate = done.document["estimate"]
    assert estimate["requests"] == NUM_TURNS
    assert 0 < estimate["likely"] <= estimate["at_most"]
    assert "about $" in done.err


def test_a_spending_cap_stops_before_it_is_passed(brief, server):
    brief("generate", "m", "--endpoint", server.base_url)
    judge = ["judge", "m", "--judge", "judge", "--judge-endpoint", server.base_url, "--price", "1000,1000", "--yes"]

    done = brief(*judge, "--max-cost", "0.75", "--in-flight", "1")

    assert done.code == 1
    assert "0.75" in done.err
    assert "Traceback" not in done.err
    after = brief(*judge, "--json")
    assert 0 < after.document["were_there"] < NUM_TURNS


def test_a_score_below_the_gate_exits_with_7_and_the_report_is_there(brief, server, tmp_path):
    done = brief(*words(server, "--fail-below", "5.1"))

    assert done.code == 7
    assert "below 5.1: m: " in done.err
    assert (tmp_path / OF_JUDGE / "report.html").is_file()
    assert brief(*words(server, "--fail-below", "1")).code == 0


def test_answers_made_otherwise_are_not_mixed(brief, server):
    brief("generate", "m", "--endpoint", server.base_url)

    done = brief("generate", "m", "--endpoint", server.base_url, "--temperature", "0.5", "--seed", "3")

    assert done.code == 2
    assert "manner.seed: was 0, is now 3" in done.err
    assert "manner.temperature: was None, is now 0.5" in done.err


def test_restart_keeps_the_old_folder(brief, server, tmp_path):
    brief("generate", "m", "--endpoint", server.base_url)

    done = brief("generate", "m", "--endpoint", server.base_url, "--seed", "3", "--restart", "--json")

    assert done.document["answered"] == NUM_TURNS
    assert (tmp_path / "evals/m/brief.old-1/answers.jsonl").is_file()


def test_first_answers_some_and_the_rest_may_follow(brief, server):
    first = brief("generate", "m", "--endpoint", server.base_url, "--first", "1", "--json")
    rest = brief("generate", "m", "--endpoint", server.base_url, "--json")

    assert first.document["answered"] == 3
    assert (rest.document["were_there"], rest.document["answered"]) == (3, 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["generate", "m", "--engine", "tgi"], 'there is no engine "tgi"'),
        (["generate", "m", "--endpoint", "nonsense"], "is no http address"),
        (["generate", "m", "--endpoint", "http://localhost:1/v1", "--dtype", "float16"], "the server's affair"),
        (["generate", "m", "--endpoint", "http://localhost:1/v1", "--category", "one wrd"], "did you mean one word?"),
        (["generate", "m", "--endpoint", "http://localhost:1/v1", "--output-dir", "/proc/x"], "nothing can be written"),
        (["generate", "./nowhere"], "./nowhere"),
        (["judge", "m"], "m: there are no brief answers of it"),
        (["judge", "m", "--mode", "pairwise-all"], 'brief has no mode "pairwise-all"'),
        (["judge", "m", "--references", "gpt-5"], 'brief has no references "gpt-5"'),
        (["judge", "m", "--retry", "bad"], 'there is no state "bad"'),
        (["judge", "m", "--price", "cheap"], "these are no two prices"),
        (["judge", "m", "--in-flight", "0"], "--in-flight is 0: it must be above 0"),
        (["report", "m"], "m: there are no brief answers of it"),
        (["import", "nowhere"], "brief: it has no files of another program"),
        (["m", "--plot", "radar.jpg", "--endpoint", "http://localhost:1/v1"], "radar.jpg"),
    ],
)
def test_wrong_input_is_told_in_plain_words(brief, given, said):
    done = brief(*given, OPENAI_API_KEY="sk-0123456789abcdefgh")

    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("name", ["answers.jsonl", "judgments.jsonl"])
@pytest.mark.parametrize(("line", "said"), [("nonsense", ":2: this line is no record"), ('{"key": "x"}', '"x" is not')])
def test_a_damaged_file_is_named_with_its_place(brief, server, tmp_path, name, line, said):
    brief(*words(server))
    place = tmp_path / OF_JUDGE / name
    first, *rest = place.read_text().splitlines()
    place.write_text("\n".join([first, line, *rest]) + "\n")

    done = brief("report", "m")

    assert done.code == 3
    assert name in done.err
    assert said in done.err


def test_only_the_chosen_questions_count_as_unanswered(brief, server):
    brief("generate", "m", "--endpoint", server.base_url)

    done = brief("judge", "m", "--judge", "judge", "--judge-endpoint", server.base_url, "--first", "1", "--json")

    assert (done.document["asked"], done.document["unanswered_turns"]) == (3, 0)


def test_answers_are_not_adopted_by_another_manner(brief, server, tmp_path):
    brief("generate", "m", "--endpoint", server.base_url)
    (tmp_path / OF_JUDGE / "evaluation.json").unlink()

    done = brief("generate", "m", "--endpoint", server.base_url, "--seed", "9")

    assert done.code == 3
    assert "how they were made is not known" in done.err


def test_a_first_attempt_that_failed_binds_nobody(brief, server):
    failed = brief("generate", "m", "--endpoint", "http://127.0.0.1:1/v1")

    done = brief("generate", "m", "--endpoint", server.base_url, "--json")

    assert failed.code == 6
    assert done.document["answered"] == NUM_TURNS


def test_a_local_server_with_a_price_is_asked_only_after_a_yes(brief, server):
    brief("generate", "m", "--endpoint", server.base_url)
    judge = ["judge", "m", "--judge", "judge", "--judge-endpoint", server.base_url, "--price", "1,1"]

    refused, agreed = brief(*judge), brief(*judge, "--yes")

    assert (refused.code, agreed.code) == (2, 0)


def test_an_unknown_benchmark_is_told_with_those_there_are(align):
    done = align("eval", "mtbnch", "m")

    assert done.code == 2
    assert "did you mean mtbench?" in done.err


@pytest.mark.parametrize("step", [[], ["generate"], ["judge"], ["report"], ["import"], ["export"]])
def test_every_step_has_help_that_names_the_benchmark(align, step):
    done = align("eval", "mtbench", *step, "--help")

    assert done.code == 0
    assert " ".join(["Usage: align eval mtbench", *step]) in done.out
