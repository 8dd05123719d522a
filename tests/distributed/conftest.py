"""Real worker processes: a model of two layers, and the real command as its user types it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.models.tiny import tiny_llama

RECIPE = """\
model_name_or_path: tiny
mixture:
  sources:
    - path: rows.jsonl
per_device_train_batch_size: 2
learning_rate: 1e-3
max_steps: 6
save_steps: 3
logging_steps: 1
max_length: 128
gradient_checkpointing: false
report_to: none
output_dir: out
"""
LORA = ("use_peft=true", "lora_r=4", "lora_target_modules=all-linear", "lora_dropout=0.0")
TWO = ("--num-processes", "2")
_SECONDS = 300  # until a command that should end counts as hanging


class Place:
    """A working directory with rows and a recipe, and the commands that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RANK", "WORLD_SIZE"))},
            "ALIGN_CACHE": str(folder / "cache"),
            "HF_HUB_OFFLINE": "1",
        }

    def command(self, *words: str, task: str = "sft", recipe: str = "r.yaml") -> list[str]:
        return [sys.executable, "-m", "align_cli", "train", task, recipe, *words]

    def run(self, *words: str, task: str = "sft", recipe: str = "r.yaml") -> subprocess.CompletedProcess[str]:
        """The command to its end."""
        return subprocess.run(
            self.command(*words, task=task, recipe=recipe),
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def train(self, *words: str, out: str = "out", task: str = "sft", recipe: str = "r.yaml") -> Path:
        """A run that must succeed."""
        done = self.run(*words, f"output_dir={out}", task=task, recipe=recipe)
        assert done.returncode == 0, done.stderr
        return self.folder / out

    def start(self, *words: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """The command in a process group of its own, going on."""
        return subprocess.Popen(
            [*prefix, *self.command(*words)],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def end_of(process: subprocess.Popen[str]) -> str:
    """What it said, once it has ended."""
    return process.communicate(timeout=_SECONDS)[1]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until `condition` holds; the process must not end before."""
    until = time.monotonic() + _SECONDS
    while not condition():
        assert process.poll() is None, end_of(process)
        assert time.monotonic() < until
        time.sleep(0.02)


def workers_of(run: Path) -> dict[int, int]:
    """Rank -> process id of the live workers of a run."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            if "align_cli.worker" not in words or ((entry / "cwd").readlink() / words[-2]) != run:
                continue
            variables = dict(
                pair.split(b"=", 1) for pair in (entry / "environ").read_bytes().split(b"\0") if b"=" in pair
            )
        except OSError:
            continue
        if b"RANK" in variables:
            found[int(variables[b"RANK"])] = int(entry.name)
    return found


def losses(run: Path) -> dict[int, float]:
    """Step -> training loss."""
    lines = map(json.loads, (run / "align" / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def cut_back(run: Path, step: int) -> Path:
    """A copy of a finished run as if it had been cut off after the checkpoint of `step`."""
    copy = run.with_name(f"{run.name}-cut")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy)
    for folder in copy.glob("checkpoint-*"):
        if int(folder.name.partition("-")[2]) > step:
            shutil.rmtree(folder)
    for name in ("align/manifest.json", "model.safetensors", "adapter_model.safetensors", "README.md"):
        (copy / name).unlink(missing_ok=True)
    return copy


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for the module: a run's folder is its own, the prepared rows are shared."""
    folder = tmp_path_factory.mktemp("place")
    tiny_llama(folder / "tiny", layers=2)
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"What is {n} times {n + 1}?"},
                {"role": "assistant", "content": f"{n} times {n + 1} is {n * (n + 1)}." * (1 + n % 3)},
            ]
        }
        for n in range(48)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "r.yaml").write_text(RECIPE)
    pairs = [
        {
            "prompt": row["messages"][:1],
            "chosen": row["messages"][1:],
            "rejected": [{"role": "assistant", "content": f"I do not know {n}."}],
        }
        for n, row in enumerate(rows)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    (folder / "pairs.yaml").write_text(RECIPE.replace("rows.jsonl", "pairs.jsonl"))
    place = Place(folder)
    yield place
    for run in folder.iterdir():
        for pid in workers_of(run).values():
            os.kill(pid, signal.SIGKILL)


def demand(strategy: str) -> None:
    """Skip, saying so, where DeepSpeed is not installed."""
    if strategy.startswith("zero") and find_spec("deepspeed") is None:
        pytest.skip("needs the package deepspeed (pip install 'align-cli[deepspeed]')")
