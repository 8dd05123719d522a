"""How many processes run the work and what each of them holds: what was asked for, or what `auto` makes of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from align_cli.errors import LaunchError, Problem
from align_cli.launch.host import Host
from align_cli.recipe.schema import Recipe

#: Strategies that share the model out, in the order in which `auto` tries them: from fastest to smallest.
_SHARED_OUT = (("zero2", "none"), ("fsdp", "none"), ("zero3", "none"), ("fsdp", "all"), ("zero3", "all"))
#: The same for an offload that was asked for.
_OFFLOADING = {"optimizer": ("zero2", "fsdp", "zero3"), "all": ("fsdp", "zero3")}
#: Where a batch system says which of its machines this is.
_MACHINE = ("SLURM_NODEID", "SKYPILOT_NODE_RANK", "GROUP_RANK")


class Fit(Protocol):
    """Whether a strategy fits (its truth), and what it needs of what there is (its text)."""

    def __bool__(self) -> bool: ...

    def __str__(self) -> str: ...


#: (strategy, offload, processes) -> whether it fits; None when not known.
Fits = Callable[[str, str, int], Fit | None]


def nothing_known(strategy: str, offload: str, processes: int) -> None:
    """Where there is no estimate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What will run, and why."""

    strategy: str
    offload: str
    processes: int
    machines: int
    machine_rank: int
    data_parallel: int
    """Processes that read different rows: all but those that share a matrix or a sequence."""
    reasons: tuple[str, ...]

    @property
    def needs_workers(self) -> bool:
        """Whether processes of their own do the work."""
        return self.processes > 1 or self.strategy != "single"


def choose(
    recipe: Recipe,
    host: Host,
    *,
    fits: Fits = nothing_known,
    environment: Mapping[str, str] | None = None,
) -> Choice:
    """The choice for `recipe` on machines like `host`.

    `fits(strategy, offload, processes)` tells whether that runs in the memory of each device; None when not known.
    """
    given = os.environ if environment is None else environment
    launch = recipe.launch
    cpu = bool(recipe.get("use_cpu")) or not host.gpus
    machines = launch.num_machines
    rank = launch.machine_rank if launch.machine_rank is not None else _machine_rank(given) if machines > 1 else 0
    processes, why = _processes(recipe, host, cpu=cpu)
    asked = launch.strategy if launch.strategy != "auto" else _by_keys(recipe)
    if asked == "auto":
        strategy, offload, reason = _auto(recipe, host, processes, fits)
        reasons = [f"{why}: {reason}" if reason else why]
    else:
        strategy, offload = asked, launch.offload
        reasons = [f"{why}, {_meaning(strategy, offload)}" if processes > 1 else why]
    return Choice(
        strategy=strategy,
        offload=offload,
        processes=processes,
        machines=machines,
        machine_rank=rank,
        data_parallel=max(processes // (launch.tensor_parallel * launch.context_parallel), 1),
        reasons=tuple(reasons),
    )


def problems(recipe: Recipe, host: Host, chosen: Choice) -> list[Problem]:
    """What is asked for and cannot be here: more processes than devices, packages that are missing."""
    found = []
    local = chosen.processes // chosen.machines
    cpu = bool(recipe.get("use_cpu")) or not host.gpus
    place = str(recipe.origins.get("launch.num_processes") or "")
    devices = _devices(recipe, host)
    if not cpu and local > devices:
        plural = "s" if devices != 1 else ""
        hint = f"launch.num_processes={devices * chosen.machines}, or use_cpu=true"
        found.append(Problem(f"{local} processes, and this machine has {devices} GPU{plural}", place, hint))
    if chosen.strategy.startswith("zero") and "deepspeed" not in host.packages:
        place = str(recipe.origins.get("launch.strategy") or "")
        hint = "pip install 'align-cli[deepspeed]', or launch.strategy=fsdp, which needs no further package"
        found.append(Problem(f"{chosen.strategy} needs the package deepspeed", place, hint))
    if cpu and chosen.offload != "none":
        place = str(recipe.origins.get("launch.offload") or "")
        found.append(Problem("offload moves what a GPU cannot hold, and nothing is on a GPU here", place, "remove it"))
    for key in ("tensor_parallel", "context_parallel"):
        if getattr(recipe.launch, key) > 1:
            place = str(recipe.origins.get(f"launch.{key}") or "")
            hint = "remove it; fsdp and zero3 share out a model that does not fit"
            found.append(Problem(f"{key}: this version shares out models, not single matrices or rows", place, hint))
    return found


def demand(recipe: Recipe, host: Host, chosen: Choice) -> None:
    """Raise LaunchError with every one of `problems`."""
    if found := problems(recipe, host, chosen):
        raise LaunchError("this machine cannot launch what the recipe asks for", problems=found)


def _machine_rank(given: Mapping[str, str]) -> int:
    return next((int(given[name]) for name in _MACHINE if given.get(name, "").isdigit()), 0)


def _processes(recipe: Recipe, host: Host, *, cpu: bool) -> tuple[int, str]:
    """(processes on all machines, why so many)."""
    launch = recipe.launch
    if launch.strategy == "single":
        return 1, "one process, as launch.strategy says"
    where = f" on {launch.num_machines} machines" if launch.num_machines > 1 else ""
    if launch.num_processes != "auto":
        count = int(launch.num_processes)
        plural = "es" if count > 1 else ""
        return count, f"{count} process{plural}{where}, as launch.num_processes says"
    if cpu:
        why = "use_cpu is set" if recipe.get("use_cpu") else _no_gpus(host)
        return launch.num_machines, f"one process{' a machine' if where else ''}: {why}"
    count = _devices(recipe, host) * launch.num_machines
    if count == 1 and len(host.gpus) > 1:
        return 1, "one process: the recipe's env lets it see one GPU"
    if count == 1:
        return 1, f"one process: there is one GPU ({host.gpus[0].name})"
    return count, f"{count} processes{where}, one a GPU"


def _devices(recipe: Recipe, host: Host) -> int:
    """GPUs of this machine that the workers will see: the recipe's own environment may hide some."""
    named = recipe.env.get("CUDA_VISIBLE_DEVICES")
    return len(host.gpus) if named is None else min(len(named.split(",")), len(host.gpus))


def _no_gpus(host: Host) -> str:
    return "there is one GPU (Apple)" if host.mps else f"there is no GPU; {host.cpus} cores share the work"


def _by_keys(recipe: Recipe) -> str:
    """What the trainer's own keys ask for: a recipe may name its DeepSpeed file or FSDP itself."""
    if recipe.get("deepspeed"):
        return f"zero{_stage(recipe.get('deepspeed'))}"
    return "fsdp" if recipe.get("fsdp") else "auto"


def _stage(config: Any) -> int:
    """ZeRO's stage in a DeepSpeed configuration (a mapping, or a JSON file)."""
    import json
    from pathlib import Path

    if isinstance(config, str):
        try:
            config = json.loads(Path(config).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 2  # its own check says what is wrong with the file
    zero = config.get("zero_optimization") if isinstance(config, Mapping) else None
    stage = zero.get("stage") if isinstance(zero, Mapping) else None
    return stage if stage in (1, 2, 3) else 2


def _auto(recipe: Recipe, host: Host, processes: int, fits: Fits) -> tuple[str, str, str]:
    """(strategy, offload, why)."""
    if recipe.launch.offload != "none":
        return _offloading(recipe.launch.offload, host, processes, fits)
    if processes == 1:
        return "single", "none", ""
    whole = fits("ddp", "none", processes)
    if whole is None:
        if bool(recipe.get("use_cpu")) or not host.gpus:
            return "ddp", "none", "each holds a whole copy"
        why = "whether that fits is not known: the model is not on this machine"
        return "ddp", "none", f"each holds a whole copy; {why}"
    if whole:
        return "ddp", "none", f"a whole copy fits each ({whole})"
    cpu = bool(recipe.get("use_cpu")) or not host.gpus
    for strategy, offload in _SHARED_OUT:
        if (strategy.startswith("zero") and "deepspeed" not in host.packages) or (cpu and offload != "none"):
            continue
        if share := fits(strategy, offload, processes):
            how = strategy + ("" if offload == "none" else f" with {offload} offload")
            return strategy, offload, f"a whole copy does not fit each ({whole}), so they share it out: {how} ({share})"
    if cpu:
        return "fsdp", "none", f"nothing fits by the estimate ({whole} with whole copies); fsdp comes nearest"
    why = f"nothing fits a device by the estimate ({whole} with whole copies); fsdp with offload comes nearest"
    return "fsdp", "all", why


def _offloading(offload: str, host: Host, processes: int, fits: Fits) -> tuple[str, str, str]:
    """The first strategy that can keep in main memory what was asked for, and fits; else the first that can."""
    able = [name for name in _OFFLOADING[offload] if not name.startswith("zero") or "deepspeed" in host.packages]
    strategy = next((name for name in able if fits(name, offload, processes)), able[0])
    return strategy, offload, f"{strategy} with {offload} offload, as launch.offload says"


def _meaning(strategy: str, offload: str) -> str:
    words = {
        "single": "all of the model in one",
        "ddp": "each with a whole copy of the model (ddp)",
        "fsdp": "which share out weights, gradients and optimiser (fsdp)",
        "zero1": "which share out the optimiser (zero1)",
        "zero2": "which share out optimiser and gradients (zero2)",
        "zero3": "which share out weights, gradients and optimiser (zero3)",
    }[strategy]
    return words + ("" if offload == "none" else f", with {offload} offload")
