"""How fast runs went here: measured at their ends, kept in the cache, asked by dry runs.

What decides the speed names the file: the model's shape (not its weights), the task, where and by how many processes,
and how long rows may be. Sequences a second carry over to another number of steps or accumulated batches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from align_cli.files import cache_root, digest_of, read_json, write_json
from align_cli.launch.host import Host
from align_cli.launch.memory.verdict import Question
from align_cli.launch.plan import Plan

#: Steps from which on a measurement is not replaced by one of fewer: the first step is slower than the others.
_ENOUGH = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """One measured run."""

    sequences_per_second: float
    """Over all processes, evaluations and checkpoints included."""
    tokens_per_second: float
    steps: int
    run: str

    def seconds(self, plan: Plan) -> float | None:
        """How long the planned steps would take; None while their number is not known."""
        if plan.num_steps is None:
            return None
        return plan.num_steps * plan.global_batch_size / self.sequences_per_second


def key_of(task: str, plan: Plan, question: Question) -> dict[str, Any]:
    """Everything that a measurement must agree in, by readable names."""
    shape = question.shape.as_dict()
    return {
        "task": task,
        "model": {name: shape[name] for name in ("parameters", "trainable", "hidden", "layers", "vocabulary")},
        "strategy": plan.strategy,
        "offload": plan.offload,
        "processes": plan.num_processes,
        "machines": plan.num_machines,
        "device": _device(plan, question.host),
        "precision": plan.precision,
        "max_length": question.work.length,
        "batch": plan.per_device_batch_size,
        "gradient_checkpointing": question.work.checkpointing,
    }


def recall(key: Mapping[str, Any]) -> Timing | None:
    """What was measured for this key."""
    try:
        return Timing(**read_json(_place(key))["measured"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(
    key: Mapping[str, Any], plan: Plan, metrics: Mapping[str, Any], facts: Mapping[str, Any], run: Path
) -> None:
    """Keep what a finished run tells of its speed; of a resumed one it is not known. Failing costs nothing."""
    seconds, steps = metrics.get("train_runtime"), facts.get("steps")
    if not seconds or not steps or facts.get("resumed_from"):
        return
    before = recall(key)
    if before is not None and steps < min(before.steps, _ENOUGH):
        return
    measured = Timing(
        sequences_per_second=steps * plan.global_batch_size / seconds,
        tokens_per_second=int(facts.get("tokens") or 0) / seconds,
        steps=steps,
        run=str(run.resolve()),
    )
    with contextlib.suppress(OSError):
        write_json(_place(key), {"of": dict(key), "measured": asdict(measured)})


def _place(key: Mapping[str, Any]) -> Path:
    return cache_root() / "timings" / f"{digest_of(dict(key))[:32]}.json"


def _device(plan: Plan, host: Host) -> str:
    if plan.device == "cuda" and host.gpus:
        return host.gpus[0].name
    return f"{plan.device}, {host.cpus} cores"
