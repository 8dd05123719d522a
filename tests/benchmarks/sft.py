"""Supervised fine-tuning against `trl sft`: the same file, model, rows and settings; equal losses, speed, memory."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks import data
from tests.benchmarks.measure import Cost, Row, align, middle, run, seconds_until, trl

_LOSS_TOLERANCE = 1e-4
_PAIRS = 3  # of runs, ours and the peer's in turn
_RAGGED_STEPS = 4
_RAGGED_PAIRS = 1  # of minutes each


def rows(scratch: Path) -> list[Row]:
    """Throughput and losses over 20 steps, ragged rows with TRL's defaults, the time to the first step of 10 k rows."""
    return [*_throughput(scratch), *_ragged(scratch), _first_step(scratch)]


def _throughput(scratch: Path) -> list[Row]:
    recipe = data.recipe(scratch, data.chat_rows(scratch, 400), report_to="tensorboard")
    out = scratch / "out"
    ratios, worst, ours_speed, peer_speed = [], 0.0, [], []
    for _ in range(_PAIRS):
        peer = _train_trl(recipe, out)
        ours = _train_align(recipe, out)
        worst = max(worst, *(abs(a - b) for a, b in zip(ours.losses, peer.losses, strict=True)))
        ours_speed.append(ours.tokens_per_second)
        peer_speed.append(peer.tokens_per_second)
        ratios.append(ours.tokens_per_second / peer.tokens_per_second)
        print(
            f"  tokens/s: {ours_speed[-1]:.0f} against {peer_speed[-1]:.0f}, losses within {worst:.1e}", file=sys.stderr
        )
    return [
        Row(
            "SFT throughput, 20 steps",
            f"{middle(ours_speed):.0f} tokens/s",
            f"{middle(peer_speed):.0f} tokens/s (trl sft)",
            f"{middle(ratios):.2f}",
            ">= 1.0",
            middle(ratios) >= 1.0,
        ),
        Row(
            "largest difference of the 20 losses",
            f"{worst:.1e}",
            "-",
            "-",
            f"<= {_LOSS_TOLERANCE}",
            worst <= _LOSS_TOLERANCE,
        ),
    ]


def _ragged(scratch: Path) -> list[Row]:
    # Everything that a recipe can leave out is left out: both train with TRL's defaults (batches of eight rows,
    # gradient checkpointing, up to 1,024 tokens), and a step sees the same rows. float32, as a CPU computes it.
    left_out: dict[str, Any] = {"max_length": None, "per_device_train_batch_size": None, "gradient_checkpointing": None}
    recipe = data.recipe(
        scratch,
        data.chat_rows(scratch, 200, longest=6000),
        **left_out,
        max_steps=_RAGGED_STEPS,
        report_to="tensorboard",
    )
    out = scratch / "out"
    pairs = []
    for _ in range(_RAGGED_PAIRS):
        pairs.append((_train_align(recipe, out, together=True), _train_trl(recipe, out, together=True)))
        words = " against ".join(f"{one.tokens_per_second:.0f} tokens/s {one.memory_mb:.0f} MB" for one in pairs[-1])
        print(f"  ragged: {words}", file=sys.stderr)
    worst = max(abs(a - b) for ours, peer in pairs for a, b in zip(ours.losses, peer.losses, strict=True))
    speed = middle([ours.tokens_per_second / peer.tokens_per_second for ours, peer in pairs])
    memory = middle([ours.memory_mb / peer.memory_mb for ours, peer in pairs])
    return [
        Row(
            "SFT of ragged rows, TRL's defaults",
            f"{middle([ours.tokens_per_second for ours, _ in pairs]):.0f} useful tokens/s",
            f"{middle([peer.tokens_per_second for _, peer in pairs]):.0f} useful tokens/s (trl sft)",
            f"{speed:.2f}",
            ">= 1.5",
            speed >= 1.5,
        ),
        Row(
            f"largest difference of its {_RAGGED_STEPS} losses",
            f"{worst:.1e}",
            "-",
            "-",
            f"<= {_LOSS_TOLERANCE}",
            worst <= _LOSS_TOLERANCE,
        ),
        Row(
            "its peak memory",
            f"{middle([ours.memory_mb for ours, _ in pairs]):.0f} MB",
            f"{middle([peer.memory_mb for _, peer in pairs]):.0f} MB (trl sft)",
            f"{memory:.2f}",
            "<= 0.8",
            memory <= 0.8,
        ),
    ]


def _first_step(scratch: Path) -> Row:
    # One short row a step: what is measured is the way to the step, not the step's arithmetic.
    folder = data.chat_rows(scratch, 10_000)
    recipe = data.recipe(scratch, folder, max_steps=1, per_device_train_batch_size=1, max_length=64)
    out = scratch / "out"

    def ours() -> float:
        shutil.rmtree(out, ignore_errors=True)
        metrics = out / "align" / "metrics.jsonl"
        return seconds_until(align("train", "sft", str(recipe)), lambda t: '"loss"' in t, cwd=scratch, watch=metrics)

    def peer() -> float:
        shutil.rmtree(out, ignore_errors=True)
        return seconds_until(trl("sft", "--config", str(recipe)), lambda t: "'loss'" in t, cwd=scratch)

    ours(), peer()  # the first run builds the caches of both
    pairs = [(ours(), peer()) for _ in range(_PAIRS)]
    ratio = middle([a / b for a, b in pairs])
    return Row(
        "start to first step, 10 k rows, second run",
        f"{middle([a for a, _ in pairs]):.1f} s",
        f"{middle([b for _, b in pairs]):.1f} s (trl sft)",
        f"{ratio:.2f}",
        "<= 0.5",
        ratio <= 0.5,
    )


class _Run:
    """Losses of every step, tokens per second of the training loop alone, and peak memory of all its processes."""

    def __init__(self, losses: list[float], tokens: float, seconds: float, cost: Cost) -> None:
        self.losses = losses
        self.tokens_per_second = tokens / seconds
        self.memory_mb = cost.together_mb


def _train_trl(recipe: Path, out: Path, *, together: bool = False) -> _Run:
    shutil.rmtree(out, ignore_errors=True)
    cost = run(trl("sft", "--config", str(recipe)), together=together)
    if cost.code:
        raise RuntimeError(cost.output[-3000:])
    # What it prints is rounded to four digits; TensorBoard's file has all of them.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next((out / "runs").glob("*"))))
    events.Reload()
    logged = {name: [event.value for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    return _Run(logged["train/loss"], logged["train/num_tokens"][-1], logged["train/train_runtime"][-1], cost)


def _train_align(recipe: Path, out: Path, *, together: bool = False) -> _Run:
    shutil.rmtree(out, ignore_errors=True)
    cost = run(align("train", "sft", str(recipe)), together=together)
    if cost.code:
        raise RuntimeError(cost.output[-3000:])
    logs = [json.loads(line) for line in (out / "align" / "metrics.jsonl").read_text().splitlines()]
    steps = [log for log in logs if "loss" in log]
    end = json.loads((out / "train_results.json").read_text())
    return _Run([s["loss"] for s in steps], steps[-1]["num_tokens"], end["train_runtime"], cost)
