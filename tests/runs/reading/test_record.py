from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from align_cli.runs import directory
from align_cli.runs.reading import story, summary
from align_cli.runs.reading.record import Record
from tests.runs import folders

HOLD = """
import sys
from pathlib import Path
from align_cli.runs import directory
directory.lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_sealed_run_that_has_done_nothing_is_prepared(tmp_path):
    assert Record(folders.prepared(tmp_path / "a")).state == "prepared"


def test_a_logged_step_without_an_end_is_an_interruption(tmp_path):
    run = folders.prepared(tmp_path / "a", lines=folders.falling(steps=10))

    assert Record(run).state == "interrupted"
    assert summary.of(run).resumes_from is None
    assert summary.of(run).step == 10


def test_an_interrupted_run_names_the_newest_whole_checkpoint(tmp_path):
    run = folders.prepared(tmp_path / "a", lines=folders.falling(steps=10))
    folders.checkpoint(run, 5)
    (folders.checkpoint(run, 10) / "model.safetensors").write_bytes(b"torn")

    assert Record(run).state == "interrupted"
    assert summary.of(run).resumes_from == "checkpoint-5"


def test_a_failure_file_makes_a_failed_run_that_may_still_resume(tmp_path):
    run = folders.failed(folders.prepared(tmp_path / "a"), message="memory ran out", hint="less")
    folders.checkpoint(run, 5)

    record = Record(run)

    assert record.state == "failed"
    assert record.failures == [{"rank": 0, "type": "TrainingError", "message": "memory ran out", "hint": "less"}]
    assert summary.of(run).resumes_from == "checkpoint-5"


def test_a_manifest_makes_a_finished_run_whatever_else_lies_there(tmp_path):
    run = folders.failed(folders.finished(tmp_path / "a"))

    assert Record(run).state == "finished"


def test_a_run_that_another_process_holds_is_running_until_that_dies(tmp_path):
    run = folders.failed(folders.prepared(tmp_path / "a", lines=folders.falling(steps=10)))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"

    held = Record(run).state
    holder.communicate("")
    after = Record(run).state

    assert (held, after) == ("running", "failed")


def test_a_run_that_this_process_holds_is_running(tmp_path):
    run = folders.prepared(tmp_path / "a")
    directory.lock(run)

    assert Record(run).state == "running"


def test_looking_does_not_keep_a_run_from_starting(tmp_path):
    run = folders.prepared(tmp_path / "a")

    assert not directory.is_at_work(run)
    directory.lock(run)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "\x00\x01", '{"metrics": 3, "data": [], "plan": "x"}'])
@pytest.mark.parametrize("name", ["manifest.json", "recipe.json", "plan.json", "preparation.json", "metrics.jsonl"])
def test_damage_is_said_and_the_rest_is_still_told(tmp_path, name, content):
    run = folders.finished(tmp_path / "a")
    file = run / "align" / name
    file.chmod(0o644)
    file.write_text(content)

    told = story.tell(Record(run))
    line = summary.of(run)

    assert told["name"].endswith("a")
    assert line.bytes > 0
    if name == "manifest.json" and not content.startswith('{"'):
        assert told["status"] == line.status == "damaged"
        assert str(file) in told["problems"][0]["where"]
        assert told["problems"][0]["message"].startswith("damaged: ")
    if name == "recipe.json":
        assert told["problems"][0]["message"].startswith("damaged: ")


def test_bytes_that_are_no_text_are_damage(tmp_path):
    run = folders.finished(tmp_path / "a")
    (run / "align" / "manifest.json").write_bytes(b"\xff\xfe{}")

    record = Record(run)

    assert record.state == "damaged"
    assert record.problems[0].message == "damaged: it is not UTF-8 text"


def test_lines_that_are_no_metrics_are_counted_but_a_torn_last_one_is_not(tmp_path):
    run = folders.prepared(tmp_path / "a", lines=[{"step": 1, "loss": 2.0}])
    with (run / "align" / "metrics.jsonl").open("a") as file:
        file.write('nonsense\n[1]\n{"loss": 1}\n{"step": 2, "loss": 1.5}\n{"step": 3, "lo')

    record = Record(run)

    assert [line["step"] for line in record.log.lines] == [1, 2]
    assert [str(problem.message) for problem in record.problems] == ["damaged: 3 of its lines cannot be read"]


def test_the_time_of_a_resumed_run_is_that_of_all_its_attempts(tmp_path):
    run = folders.finished(tmp_path / "a", facts={**folders.FACTS, "resumed_from": "checkpoint-20"})
    folders.checkpoint(run, 40, seconds=50.0, tokens=4000)

    assert story.timing(Record(run)) == {"seconds": 50.0, "tokens": 4000, "tokens_per_second": 80.0}


def test_the_time_of_a_run_in_one_go_is_the_trainers(tmp_path):
    run = folders.finished(tmp_path / "a")

    assert story.timing(Record(run)) == {"seconds": 10.0, "tokens": 4000, "tokens_per_second": 400.0}


def test_a_run_of_an_unknown_task_is_told_with_its_own_metrics(tmp_path):
    run = folders.prepared(tmp_path / "a", task="distil", lines=[{"step": 1, "teacher/agreement": 0.5}])

    told = story.tell(Record(run))

    assert told["task"] == "distil"
    assert told["logged"] == ["teacher/agreement"]
    assert told["metrics"] == {"teacher/agreement": 0.5}


def test_what_a_run_was_made_of_is_told(tmp_path):
    told = story.tell(Record(folders.finished(tmp_path / "a", facts={**folders.FACTS, "kept": "as it is"})))

    assert told["recipe"]["values"]["learning_rate"] == {"value": 1e-4, "from": "r.yaml:3"}
    assert told["model"]["parameters"] == {"trained": 10, "total": 100}
    assert told["data"]["sources"][0]["commit"] == "c0ffee" * 6
    assert told["data"]["sources"][0]["tokens"] == 4000
    assert told["steps"]["done"] == told["steps"]["total"] == 40
    assert told["best_eval"] == {"metric": "eval_loss", "value": 5.0 / 30, "step": 30}
    assert told["facts"] == {"kept": "as it is"}
    assert {file["name"] for file in told["files"]} == {"README.md", "config.json", "model.safetensors"}


def test_every_file_of_a_run_is_in_its_size(tmp_path: Path):
    run = folders.finished(tmp_path / "a")
    folders.checkpoint(run, 5)

    expected = sum(file.stat().st_size for file in run.rglob("*") if file.is_file())

    assert summary.of(run).bytes == expected
