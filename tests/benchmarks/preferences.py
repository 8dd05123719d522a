"""Preference tasks against TRL's trainers: the same pairs, model and settings; equal losses, then speed and memory."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import data
from tests.benchmarks.measure import Cost, Row, align, middle, run, trl

_TIMES = 1  # of minutes each; the ratios lie far from their bars
_STEPS = 2
_BATCH = 4
_FIRST_LOSS = 1e-5
_SETTINGS: dict[str, Any] = {
    "max_length": 512,
    "max_steps": _STEPS,
    "per_device_train_batch_size": _BATCH,
    "learning_rate": 1e-6,
    "report_to": "tensorboard",
}


def rows(scratch: Path) -> list[Row]:
    """DPO first and with a stored reference, ORPO, KTO; speed, and memory of DPO."""
    pairs = data.preference_rows(scratch, 200)
    judged = data.judged_rows(scratch, 400)
    return [
        *_dpo(scratch, pairs),
        _other(scratch, "orpo", pairs),
        _other(scratch, "kto", judged),
    ]


def _dpo(scratch: Path, pairs: Path) -> list[Row]:
    recipe = data.recipe(scratch, pairs, **_SETTINGS)
    peers, firsts, agains = [], [], []
    for _ in range(_TIMES):
        shutil.rmtree(scratch / "cache" / "reference", ignore_errors=True)
        peers.append(_theirs("dpo", recipe, scratch))
        firsts.append(_ours("dpo", recipe, scratch))
        agains.append(_ours("dpo", recipe, scratch))
        _say("dpo", [peers[-1], firsts[-1], agains[-1]])
    return [
        _speed("DPO, first run", firsts, peers, 1.3),
        _speed("DPO, reference stored", agains, peers, 1.8),
        _first_loss("DPO", firsts, peers),
        _memory("DPO, first run", firsts, peers),
        _memory("DPO, reference stored", agains, peers),
    ]


def _other(scratch: Path, task: str, folder: Path) -> Row:
    recipe = data.recipe(scratch, folder, **_SETTINGS)
    peers, ours = [], []
    for _ in range(_TIMES):
        shutil.rmtree(scratch / "cache" / "reference", ignore_errors=True)
        peers.append(_theirs(task, recipe, scratch))
        ours.append(_ours(task, recipe, scratch))
        _say(task, [peers[-1], ours[-1]])
    return _speed(task.upper(), ours, peers, 1.1)


@dataclass(frozen=True)
class _Run:
    losses: list[float]
    tokens_per_second: float
    """Both answers with their prompts; the time of the reference pass counts."""
    cost: Cost


def _theirs(task: str, recipe: Path, scratch: Path) -> _Run:
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = trl(task, "--config", str(recipe)) if task != "orpo" else [sys.executable, "-c", _ORPO, str(recipe)]
    cost = run(command, together=True)
    if cost.code:
        raise RuntimeError(cost.output[-3000:])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next((out / "runs").glob("*"))))
    events.Reload()
    logged = {name: [event.value for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    tokens = logged["train/num_tokens"][-1] if "train/num_tokens" in logged else _tokens(cost)
    return _Run(logged["train/loss"], tokens / logged["train/train_runtime"][-1], cost)


def _tokens(cost: Cost) -> float:
    line = next(line for line in cost.output.splitlines() if line.startswith("TOKENS "))
    return float(line.split()[1])


def _ours(task: str, recipe: Path, scratch: Path) -> _Run:
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    cost = run(["env", f"ALIGN_CACHE={scratch / 'cache'}", *align("train", task, str(recipe))], together=True)
    if cost.code:
        raise RuntimeError(cost.output[-3000:])
    logs = [json.loads(line) for line in (out / "align" / "metrics.jsonl").read_text().splitlines()]
    facts = json.loads((out / "align" / "manifest.json").read_text())["facts"]
    seconds = json.loads((out / "train_results.json").read_text())["train_runtime"]
    seconds += facts.get("reference", {}).get("seconds", 0.0)
    return _Run([log["loss"] for log in logs if "loss" in log], facts["tokens"] / seconds, cost)


def _speed(what: str, ours: list[_Run], peers: list[_Run], bar: float) -> Row:
    ratio = middle([a.tokens_per_second / b.tokens_per_second for a, b in zip(ours, peers, strict=True)])
    return Row(
        what,
        f"{middle([a.tokens_per_second for a in ours]):.0f} tokens/s",
        f"{middle([b.tokens_per_second for b in peers]):.0f} tokens/s (TRL)",
        f"{ratio:.2f}",
        f">= {bar}",
        ratio >= bar,
    )


def _memory(what: str, ours: list[_Run], peers: list[_Run]) -> Row:
    ratio = middle([a.cost.together_mb / b.cost.together_mb for a, b in zip(ours, peers, strict=True)])
    mine, other = (middle([one.cost.together_mb for one in runs]) for runs in (ours, peers))
    return Row(
        f"{what}, peak memory", f"{mine:.0f} MB", f"{other:.0f} MB (TRL)", f"{ratio:.2f}", "<= 0.8", ratio <= 0.8
    )


def _first_loss(what: str, ours: list[_Run], peers: list[_Run]) -> Row:
    worst = max(abs(a.losses[0] - b.losses[0]) for a, b in zip(ours, peers, strict=True))
    return Row(f"{what}, first loss", f"{worst:.1e}", "-", "-", f"<= {_FIRST_LOSS}", worst <= _FIRST_LOSS)


def _say(task: str, runs: list[_Run]) -> None:
    words = ", ".join(f"{one.tokens_per_second:.0f} tokens/s {one.cost.together_mb:.0f} MB" for one in runs)
    print(f"  {task}: {words} (TRL first); losses {runs[0].losses[0]:.6f} {runs[1].losses[0]:.6f}", file=sys.stderr)


#: TRL has no command for ORPO: its trainer, with the recipe's settings.
_ORPO = textwrap.dedent(
    """
    import sys, yaml
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    values = yaml.safe_load(open(sys.argv[1]))
    model, name = values.pop("model_name_or_path"), values.pop("dataset_name")
    values["learning_rate"] = float(values["learning_rate"])  # YAML 1.1 reads 1e-06 as text
    tokens = 0

    class Counting(ORPOTrainer):
        def concatenated_forward(self, model, batch):
            global tokens
            tokens += int(batch["chosen_attention_mask"].sum() + batch["rejected_attention_mask"].sum())
            return super().concatenated_forward(model, batch)

    trainer = Counting(
        AutoModelForCausalLM.from_pretrained(model, dtype="float32"), args=ORPOConfig(**values),
        train_dataset=load_dataset(name, split="train"), processing_class=AutoTokenizer.from_pretrained(model),
    )
    trainer.train()
    print("TOKENS", tokens)
    """
)
