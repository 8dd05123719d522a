"""A one-layer model, chat rows, and the whole road from a recipe file to a finished run, in this process."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.models.tiny import tiny_llama

RECIPE = """\
mixture:
  sources:
    - path: rows.jsonl
  held_out: 6
per_device_train_batch_size: 3
learning_rate: 1e-2
num_train_epochs: 1
logging_steps: 3
save_steps: 5
gradient_checkpointing: false
report_to: none
output_dir: out
"""
#: What differs between two attempts at the same work: how long it took.
CLOCKS = ("runtime", "per_second")

Train = Callable[..., Path]
TrainTask = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One layer, one token per byte."""
    return tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: `rows.jsonl`, `r.yaml`, a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"What is {n} times {n + 1}?"},
                {"role": "assistant", "content": f"{n} times {n + 1} is {n * (n + 1)}." * (1 + n % 4)},
            ]
        }
        for n in range(66)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def train(workplace: Path) -> Train:
    """`train(key=value, …)` runs `r.yaml` with these overrides in this process; the run directory."""

    return lambda **values: work("sft", workplace / "r.yaml", **values)


@pytest.fixture
def train_task(workplace: Path) -> TrainTask:
    """`train_task(task, rows, key=value, …)` trains on these rows in this process; the run directory."""

    def run(task: str, rows: Sequence[Mapping[str, Any]], **values: Any) -> Path:
        (workplace / "task.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        recipe = workplace / "task.yaml"
        recipe.write_text("mixture: {sources: [{path: task.jsonl}], combine: trl}\noutput_dir: out\n")
        return work(task, recipe, **values)

    return run


def work(
    task_name: str,
    path: Path,
    *,
    say: Callable[[str], None] = lambda line: None,
    stop_at: int | None = None,
    **values: Any,
) -> Path:
    """The road of `align train` from a recipe file to a finished run, in this process; the run directory.

    `stop_at`: Ctrl-C is pressed at that step.
    """
    from align_cli import registry, worker
    from align_cli.models.locate import locate_for
    from align_cli.recipe import load
    from align_cli.runs import directory
    from align_cli.tasks.preparing.tokens import prepare_for
    from align_cli.tasks.task import Progress

    task = registry.get(registry.TASKS, task_name)
    words = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]
    recipe = load.load([str(path), *words], task)
    run = directory.open_run(recipe)
    assert run.state != "finished"
    model = locate_for(recipe)
    prepared = prepare_for(task, recipe, model)
    directory.seal(run, recipe, {}, prepared, model)

    def watch(moment: Progress) -> None:
        if moment.step == stop_at and not moment.metrics:
            signal.raise_signal(signal.SIGINT)

    try:
        worker.run(run.path, on_progress=watch, say=say)
    finally:
        gc.collect()  # a trainer is a circle of references, with a model in it
    return run.path


def start(*words: str) -> subprocess.Popen[str]:
    """The real command in a process group of its own, in the working directory."""
    return subprocess.Popen(
        [sys.executable, "-m", "align_cli", "train", "sft", "r.yaml", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        start_new_session=True,
    )


def curve(run: Path) -> list[dict[str, Any]]:
    """Everything that was logged, without what a clock says."""
    lines = [json.loads(line) for line in (run / "align" / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.endswith(CLOCKS)} for line in lines]


def losses_of(run: Path) -> list[float]:
    """The training losses that were logged."""
    return [line["loss"] for line in curve(run) if "loss" in line]


def wait_for(path: Path, text: str = "", seconds: float = 120) -> None:
    """Until the file is there and holds `text`."""
    end = time.monotonic() + seconds
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.01)
