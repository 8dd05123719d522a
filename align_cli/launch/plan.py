"""What will be executed, and the arithmetic of it: pure functions of recipe, host and row counts.

The steps are those of transformers' `Trainer.set_initial_training_values`; a contract test compares them.
"""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from align_cli.launch import strategy as strategies
from align_cli.launch.host import Host
from align_cli.recipe.schema import Recipe

#: Torch's own; the supervisors of several machines talk on it, the workers on the next.
DEFAULT_PORT = 29500


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One run as it will be executed."""

    kind: Literal["inline", "workers"]
    """`inline`: the work runs in this process. `workers`: this process starts `argv` once for each process."""
    strategy: str
    """`single`, `ddp`, `fsdp`, `zero1`, `zero2` or `zero3`: never `auto`."""
    offload: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """Variables the work needs beyond the recipe's own `env:` (whose values are never shown)."""
    device: str
    precision: str
    num_processes: int
    """On all machines together."""
    num_machines: int
    machine_rank: int
    main_process: str
    """`HOST:PORT` of machine 0; `HOST` alone while any free port will do."""
    data_parallel_size: int
    """Processes that read different rows."""
    threads_per_process: int
    """On the CPU; 0: as the library decides."""
    per_device_batch_size: int
    gradient_accumulation_steps: int
    global_batch_size: int
    """Sequences per optimiser step, over all processes."""
    num_epochs: float | None
    """None when `max_steps` decides and the number of sequences is not known yet."""
    num_sequences: int | None
    """Training sequences (after packing); None until the data are prepared."""
    num_tokens: int | None
    """Training tokens of one epoch; None until the data are prepared."""
    steps_per_epoch: int | None
    num_steps: int | None
    """Optimiser steps; None while the number of sequences decides it and is not known."""
    num_warmup_steps: int | None
    num_evaluations: int | None
    num_checkpoints: int | None
    trust_remote_code: bool
    reasons: tuple[str, ...] = field(default=())
    """Why it is planned this way, one sentence each."""

    @property
    def local_processes(self) -> int:
        """Processes on this machine."""
        return self.num_processes // self.num_machines

    @property
    def command(self) -> str:
        """What to paste into a shell to run the workers without this program."""
        env = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        if self.kind == "inline":
            return " ".join([*env, shlex.join(self.argv)])
        host, _, port = self.main_process.partition(":")
        torchrun = [self.argv[0], "-m", "torch.distributed.run", f"--nproc-per-node={self.local_processes}"]
        if self.num_machines > 1:
            torchrun += [f"--nnodes={self.num_machines}", f"--node-rank={self.machine_rank}"]
            torchrun += [f"--master-addr={host}", f"--master-port={port or DEFAULT_PORT}"]
        else:
            torchrun.append("--standalone")
        return " ".join([*env, shlex.join([*torchrun, *self.argv[1:]])])

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, kept in the run directory."""
        document = asdict(self)
        document.update(argv=list(self.argv), env=dict(self.env), reasons=list(self.reasons), command=self.command)
        return document


def make(
    recipe: Recipe,
    host: Host,
    run_dir: Path,
    *,
    num_train: int | None = None,
    tokens: int | None = None,
    fits: strategies.Fits = strategies.nothing_known,
) -> Plan:
    """The plan for `recipe` on `host`.

    `fits` tells what fits the devices, see `strategy.choose`. `num_train` counts the training sequences the trainer
    will see (rows, or packs), `tokens` the training tokens of one epoch; None when not known yet.
    """
    chosen = strategies.choose(recipe, host, fits=fits)
    env, reasons = _environment(recipe, host, chosen)
    device = "cpu" if recipe.get("use_cpu") else host.device
    precision, why = _precision(recipe, device)
    reasons += [why] if why else []
    if recipe.get("trust_remote_code"):
        reasons.append("trust_remote_code is on: Python code from the model's repository will be executed")
    if host.unused_gpus and device == "cpu":
        reasons.append(f"{host.unused_gpus[0]} is not used: the installed torch is a CPU build")

    batch = int(recipe.get("per_device_train_batch_size", 8))
    accumulation = int(recipe.get("gradient_accumulation_steps", 1))
    if recipe.get("auto_find_batch_size"):
        reasons.append("auto_find_batch_size: the batch size and with it the steps may shrink during the run")
    global_batch = batch * accumulation * chosen.data_parallel
    steps = _steps(recipe, num_train, batch * chosen.data_parallel, accumulation)
    if chosen.processes > 1:
        reasons.append(
            f"global batch: {batch} rows a process x {accumulation} accumulated x {chosen.data_parallel} processes "
            f"= {global_batch}"
        )
    return Plan(
        kind="workers" if chosen.needs_workers else "inline",
        strategy=chosen.strategy,
        offload=chosen.offload,
        argv=(sys.executable, "-m", "align_cli.worker", str(run_dir)),
        env=env,
        device=device,
        precision=precision,
        num_processes=chosen.processes,
        num_machines=chosen.machines,
        machine_rank=chosen.machine_rank,
        main_process=_main_process(recipe, chosen),
        data_parallel_size=chosen.data_parallel,
        threads_per_process=_threads(host, device, chosen),
        per_device_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        global_batch_size=global_batch,
        num_epochs=steps.epochs,
        num_sequences=num_train,
        num_tokens=tokens,
        steps_per_epoch=steps.per_epoch,
        num_steps=steps.total,
        num_warmup_steps=_warmup(recipe, steps.total),
        num_evaluations=_occasions(recipe, "eval", steps),
        num_checkpoints=_occasions(recipe, "save", steps),
        trust_remote_code=bool(recipe.get("trust_remote_code")),
        reasons=tuple(reasons),
    )


@dataclass(frozen=True, slots=True)
class _Steps:
    per_epoch: int | None
    total: int | None
    epochs: float | None


def _environment(recipe: Recipe, host: Host, chosen: strategies.Choice) -> tuple[dict[str, str], list[str]]:
    """Variables and reasons: which devices the processes of this machine see."""
    reasons = list(chosen.reasons)
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None and host.torch_cuda:
        reasons.append(f"CUDA_VISIBLE_DEVICES={visible} is set: other GPUs of this machine are not seen")
    if chosen.processes > 1 or recipe.get("use_cpu") or len(host.gpus) < 2:
        return {}, reasons
    named = recipe.env.get("CUDA_VISIBLE_DEVICES", "0")
    if "CUDA_VISIBLE_DEVICES" in recipe.env and "," not in named:
        return {}, [f"one process on GPU {named}, as the recipe's env says"]
    first = named.split(",")[0]
    why = f"it sees the first of {len(host.gpus)} GPUs: without a pin, torch would split every batch over all"
    return {"CUDA_VISIBLE_DEVICES": first}, [*reasons, why]


def _main_process(recipe: Recipe, chosen: strategies.Choice) -> str:
    host = recipe.launch.main_process_ip or "127.0.0.1"
    port = recipe.launch.main_process_port
    if port is None and chosen.machines > 1:
        port = DEFAULT_PORT
    return f"{host}:{port}" if port is not None else host


def _threads(host: Host, device: str, chosen: strategies.Choice) -> int:
    """Threads of each process: the cores are divided, or the processes would fight for them."""
    if device != "cpu" or chosen.processes == 1:
        return 0
    return max(host.cpus // (chosen.processes // chosen.machines), 1)


def _precision(recipe: Recipe, device: str) -> tuple[str, str]:
    """(precision of the arithmetic, why, if that is not what was written)."""
    for name in ("fp16", "bf16"):
        if recipe.values.get(name):
            impossible = device == "cpu" and not (name == "bf16" and recipe.get("use_cpu"))
            return f"{name} mixed" + (" (not possible here)" if impossible else ""), ""
    if recipe.values.get("bf16") is False or recipe.profile.startswith("handbook"):
        return str(recipe.get("dtype") or "float32"), ""
    if device == "cpu":
        return "float32", "float32: bf16 was not asked for, and on a CPU it would only be slower"
    return "bf16 mixed", "bf16 is upstream's default on a GPU"


def _steps(recipe: Recipe, num_train: int | None, batch: int, accumulation: int) -> _Steps:
    """Optimiser steps as transformers counts them."""
    max_steps = int(recipe.get("max_steps", -1) or -1)
    epochs = float(recipe.get("num_train_epochs", 3.0))
    if num_train is None:
        return _Steps(None, max_steps, None) if max_steps > 0 else _Steps(None, None, epochs)
    batches = num_train // batch if recipe.get("dataloader_drop_last") else math.ceil(num_train / batch)
    per_epoch = max(math.ceil(batches / accumulation), 1)
    if max_steps > 0:
        return _Steps(per_epoch, max_steps, round(max_steps / per_epoch, 3))
    return _Steps(per_epoch, math.ceil(epochs * per_epoch), epochs)


def _warmup(recipe: Recipe, total: int | None) -> int | None:
    """`warmup_steps` is a count from 1 on and a share below (transformers 5)."""
    value = float(recipe.get("warmup_steps", 0) or 0)
    ratio = float(recipe.get("warmup_ratio", 0) or 0)
    if value >= 1:
        return int(value)
    share = value or ratio
    if not share:
        return 0
    return math.ceil(total * share) if total is not None else None


def _occasions(recipe: Recipe, what: Literal["eval", "save"], steps: _Steps) -> int | None:
    """How often the run will evaluate or save a checkpoint; None while that is not known.

    The end is an occasion, too, unless its step has just been one; the best of the models, when it takes the last
    one's place, is evaluated again.
    """
    again = 1 if what == "eval" and recipe.get("load_best_model_at_end") else 0
    strategy = str(recipe.get(f"{what}_strategy", "no") or "no").lower()
    if strategy == "no":
        return 0
    if steps.total is None:
        return None
    if strategy == "epoch":
        return math.ceil(steps.total / steps.per_epoch) + again if steps.per_epoch else None
    if strategy != "steps":  # `best`: as the metric turns out
        return None
    every = recipe.get(f"{what}_steps")
    if every is None:
        every = recipe.get("logging_steps", 500)
    every = float(every or 0)
    if every <= 0:
        return None
    count = math.ceil(steps.total * every) if every < 1 else int(every)
    return steps.total // count + (1 if steps.total % count else again)
