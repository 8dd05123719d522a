"""`--probe` under real workers: what it tells, what it leaves (nothing), and what it says when memory runs out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from align_cli.cli.training import probing
from align_cli.cli.training.probing import _Watch
from align_cli.tasks.task import Progress
from tests.models.tiny import tiny_llama

RECIPE = """\
model_name_or_path: tiny
mixture: {sources: [{path: rows.jsonl}], held_out: 4}
output_dir: out
max_length: 128
per_device_train_batch_size: 2
eval_strategy: steps
eval_steps: 50
gradient_checkpointing: false
"""
#: Bytes of address space: enough to load everything, not enough for a step on thousands of rows.
_LIMIT = 4_000_000_000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model, rows of very different lengths, and a recipe that evaluates."""
    tiny_llama(tmp_path / "tiny")
    said = [("x" * (3 * number + 1)) for number in range(40)]
    rows = [
        {"messages": [{"role": "user", "content": "say it"}, {"role": "assistant", "content": text}]} for text in said
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "r.yaml").write_text(RECIPE)
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def probe(place: Path, *words: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, whose address space ends at `limit` bytes."""

    def bounded() -> None:
        import resource

        if limit is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    command = [sys.executable, "-m", "align_cli", "train", "sft", "r.yaml", "--probe", *words]
    return subprocess.run(
        command, cwd=place, env=os.environ, preexec_fn=bounded, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_probe_measures_every_process_and_leaves_nothing(place: Path) -> None:
    done = probe(place, "--num-processes", "2", "--json")

    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0
    assert [one["rank"] for one in found["ranks"]] == [0, 1]
    assert all(one["peak_memory_bytes"] > 1e8 for one in found["ranks"])
    assert found["verdict"].startswith("fits: ")
    assert found["seconds"]["evaluation"] is not None
    assert not (place / "out").exists()
    assert list((place / "cache" / "probes").iterdir()) == []


@pytest.mark.slow
def test_memory_that_runs_out_in_the_step_is_told_with_remedies(place: Path) -> None:
    done = probe(place, "per_device_train_batch_size=20000", limit=_LIMIT)

    assert done.returncode == 1
    assert "it does not fit: memory ran out in the training step" in done.stderr
    assert "per_device_train_batch_size=" in done.stderr
    assert not (place / "out").exists()
    assert list((place / "cache" / "probes").iterdir()) == []


@pytest.mark.slow
def test_a_run_keeps_its_peak_and_its_speed_for_the_next_dry_run(place: Path) -> None:
    def align(*words: str) -> Any:
        command = [sys.executable, "-m", "align_cli", "train", "sft", "r.yaml", "--json", *words]
        done = subprocess.run(command, cwd=place, env=os.environ, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    before = align("--dry-run")["time"]
    ran = align("max_steps=2", "eval_strategy=no")
    after = align("--dry-run", "max_steps=20", "eval_strategy=no")["time"]

    assert before["seconds"] is None
    assert "no run of this model here has been measured" in before["why"]
    assert ran["facts"]["peak_memory_bytes"][0] > 1e8
    assert after["seconds"] == pytest.approx(10 * ran["metrics"]["train_runtime"], rel=0.05, abs=0.1)
    assert after["run"] == str(place / "out")


def test_the_longest_rows_are_taken_longest_first_and_again_where_there_are_too_few(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table({"input_ids": [[1], [1, 2, 3], [1, 2]], "labels": [[1], [1, 2, 3], [1, 2]]})
    with pa.OSFile(str(tmp_path / "train.arrow"), "wb") as out, pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)

    for count, expected in ((2, [3, 2]), (5, [3, 2, 1, 3, 2])):
        probing._write_longest(tmp_path / "train.arrow", tmp_path / "longest.arrow", count)

        with pa.memory_map(str(tmp_path / "longest.arrow")) as file:
            rows = pa.ipc.open_stream(file).read_all()["input_ids"].to_pylist()
        assert [len(row) for row in rows] == expected


def test_what_was_going_on_last_is_told_by_what_was_heard() -> None:
    def moment(step: int, **metrics: float) -> Progress:
        return Progress(
            step=step, num_steps=1, epoch=0.0, metrics=metrics, tokens=0, tokens_per_second=0.0, seconds_left=None
        )

    watch = _Watch(say=lambda line: None, evaluates=True)
    heard = [watch.at]
    for one in (moment(0), moment(1), moment(1, eval_loss=1.0)):
        watch.progress(one)
        heard.append(watch.at)

    assert heard == ["loading", "the training step", "the evaluation", "the save"]
