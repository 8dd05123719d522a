"""Launching: the parent's own cost, two processes against one and against TRL under torchrun, a killed worker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks import data
from tests.benchmarks.measure import Row, align, environment, median, middle, run

_PAIRS = 3  # of runs, in turn
_STEPS = 4
_LOSS_TOLERANCE = 1e-4
_TWO = ("--num-processes", "2")


def rows(scratch: Path) -> list[Row]:
    """The bars of launching that one machine without GPUs can show."""
    folder = data.chat_rows(scratch, 400, longest=1200)
    settings = {
        "max_steps": _STEPS,
        "per_device_train_batch_size": 4,
        "report_to": "tensorboard",
        "gradient_accumulation_steps": 2,
    }
    recipe = data.recipe(scratch, folder, **settings)
    return [_parent(scratch, recipe), *_speed(scratch, recipe), _killed(scratch, recipe)]


def _parent(scratch: Path, recipe: Path) -> Row:
    words = ["train", "sft", str(recipe), *_TWO, "--prepare", "--restart", f"output_dir={scratch / 'prepared'}"]
    cost = median(align(*words))
    if cost.code:
        raise RuntimeError(cost.output[-3000:])
    return Row("command to workers, warm mixture", f"{cost.wall_s:.2f} s", "-", "-", "<= 1.0 s", cost.wall_s <= 1.0)


def _speed(scratch: Path, recipe: Path) -> list[Row]:
    one, two, theirs, worst = [], [], [], 0.0
    for _ in range(_PAIRS):
        losses, speed = _ours(scratch / "one", recipe, "gradient_accumulation_steps=4")
        one.append(speed)
        again, speed = _ours(scratch / "two", recipe, *_TWO)
        two.append(speed)
        worst = max(worst, *(abs(a - b) for a, b in zip(losses, again, strict=True)))
        theirs.append(_torchrun_trl(recipe, scratch / "out"))
        print(f"  tokens/s: {one[-1]:.0f} in one, {two[-1]:.0f} in two, {theirs[-1]:.0f} TRL in two", file=sys.stderr)
    against_one = middle([a / b for a, b in zip(two, one, strict=True)])
    against_trl = middle([a / b for a, b in zip(two, theirs, strict=True)])
    ours, alone, peer = (f"{middle(speeds):.0f} tokens/s" for speeds in (two, one, theirs))
    return [
        Row(
            "DDP, 2 processes on 2 cores", ours, f"{alone} (1 process)", f"{against_one:.2f}",
            ">= 1.0", against_one >= 1,
        ),
        Row("the same", ours, f"{peer} (torchrun, trl sft)", f"{against_trl:.2f}", ">= 1.0", against_trl >= 1),
        Row(
            "largest difference of the losses, 2 against 1", f"{worst:.1e}", "-", "-",
            f"<= {_LOSS_TOLERANCE}", worst <= _LOSS_TOLERANCE,
        ),
    ]  # fmt: skip


def _ours(out: Path, recipe: Path, *words: str) -> tuple[list[float], float]:
    """Losses of every step, and tokens per second of the training loop."""
    shutil.rmtree(out, ignore_errors=True)
    cost = run(align("train", "sft", str(recipe), *words, f"output_dir={out}"))
    if cost.code:
        raise RuntimeError(cost.output[-3000:])
    logs = [json.loads(line) for line in (out / "align" / "metrics.jsonl").read_text().splitlines()]
    steps = [log for log in logs if "loss" in log]
    seconds = json.loads((out / "train_results.json").read_text())["train_runtime"]
    return [step["loss"] for step in steps], steps[-1]["num_tokens"] / seconds


def _torchrun_trl(recipe: Path, out: Path) -> float:
    shutil.rmtree(out, ignore_errors=True)
    spec = find_spec("trl.scripts.sft")
    assert spec is not None
    script = str(spec.origin)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    cost = run(["env", "OMP_NUM_THREADS=1", *torchrun, script, "--config", str(recipe)])
    if cost.code:
        raise RuntimeError(cost.output[-3000:])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next((out / "runs").glob("*"))))
    events.Reload()
    logged = {name: events.Scalars(name)[-1].value for name in ("train/num_tokens", "train/train_runtime")}
    return float(logged["train/num_tokens"] / logged["train/train_runtime"])


def _killed(scratch: Path, recipe: Path) -> Row:
    out = scratch / "killed"
    shutil.rmtree(out, ignore_errors=True)
    command = align("train", "sft", str(recipe), *_TWO, "max_steps=1000", f"output_dir={out}")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(), text=True)
    metrics = out / "align" / "metrics.jsonl"
    while not (metrics.is_file() and '"loss"' in metrics.read_text()):
        if process.poll() is not None:
            raise RuntimeError((process.stderr.read() if process.stderr else "")[-3000:])
        time.sleep(0.05)
    found = subprocess.run(["pgrep", "-f", f"align_cli.worker {out}"], capture_output=True, text=True, check=True)
    began = time.perf_counter()
    os.kill(int(found.stdout.split()[-1]), signal.SIGKILL)
    process.communicate()
    seconds = time.perf_counter() - began
    return Row("kill -9 of a worker to exit", f"{seconds:.1f} s", "-", "-", "<= 30 s", seconds <= 30)
