"""What `align train` does about processes: words, batch, and the work, here or by workers that are watched."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from align_cli.errors import LaunchError, UsageError
from align_cli.launch import batch, block, ranks, strategy
from align_cli.launch.host import Host
from align_cli.launch.plan import DEFAULT_PORT, Plan
from align_cli.launch.workers import ports
from align_cli.launch.workers.machines import Machines
from align_cli.recipe import checks_launch, overrides
from align_cli.recipe.schema import Note, Recipe
from align_cli.runs.directory import Run
from align_cli.tasks.task import Progress, Task

#: Words of the launch block in the order in which the help lists them as options.
_SHORT = (
    "strategy", "offload", "num_processes", "global_batch_size", "num_machines", "machine_rank", "main_process_ip",
    "main_process_port", "rendezvous", "rendezvous_timeout", "max_restarts", "tensor_parallel", "context_parallel",
    "accelerate_config", "preset",
)  # fmt: skip


#: Strategies whose checkpoints are alike.
_KIND = {"single": "whole", "ddp": "whole"}


def options(stream: TextIO) -> str:
    """The launch block's options for `align train --help`."""
    from align_cli.cli.recipes import keys
    from align_cli.recipe.fields import fields_of

    known = fields_of(("align_cli.recipe.schema:Launch",))
    return keys.flags({name: known[name] for name in _SHORT}, stream)


def settled(recipe: Recipe, task: Task, words: Sequence[str], host: Host, *, keep: bool) -> tuple[Recipe, list[Note]]:
    """The recipe with its launch block in full and the global batch that was asked for, and what to know of it.

    `keep`: the batch of the unfinished run in `output_dir`, else that of the recipe's own `launch.num_processes`.

    Raises:
        RecipeError: the launch block names what does not exist or does not fit.
        LaunchError: no whole numbers give it.
    """
    from align_cli.runs import directory

    recipe = block.settled(recipe)
    chosen = strategy.choose(recipe, host)
    now = batch.size(recipe, chosen.data_parallel)
    if recipe.launch.global_batch_size is not None:
        wanted, why = recipe.launch.global_batch_size, "launch.global_batch_size"
        return batch.kept(recipe, wanted, chosen.data_parallel, why=why), []
    begun = directory.global_batch_of(recipe)
    written = begun if begun is not None else _as_written(task, words, host)
    if written is None or written == now:
        return recipe, []
    if keep:
        return batch.kept(recipe, written, chosen.data_parallel, why="--keep-global-batch"), []
    whose = "the run in output_dir began with" if begun is not None else "the recipe is written for"
    plural = "es" if chosen.processes > 1 else ""
    said = (
        f"{whose} {written} rows a step, and with {chosen.processes} process{plural} it is {now}; "
        "--keep-global-batch changes gradient_accumulation_steps to keep it"
    )
    return recipe, [Note("gradient_accumulation_steps", said)]


def _as_written(task: Task, words: Sequence[str], host: Host) -> int | None:
    """The global batch of the recipe's file alone, where it says for how many processes it is written."""
    from align_cli.recipe import load

    if _without_launch(words) == list(words):
        return None
    recipe = block.settled(load.load(_without_launch(words), task))
    if recipe.launch.num_processes == "auto":
        return None
    return batch.size(recipe, strategy.choose(recipe, host).data_parallel)


def _without_launch(words: Sequence[str]) -> list[str]:
    """The words without overrides of the launch block, in either spelling."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
            continue
        if word.startswith(("--launch.", "launch.")) or overrides.launch_option(word):
            skip = "=" not in word
            continue
        kept.append(word)
    return kept


def notes(recipe: Recipe, host: Host) -> list[Note]:
    """For a dry run: what a real run would be refused for."""
    found = [
        Note("launch", f"cannot be launched on this host: {problem.message} ({problem.hint})", problem.where)
        for problem in strategy.problems(recipe, host, strategy.choose(recipe, host))
    ]
    if around := ranks.launcher_around():
        found.append(Note("launch", f"a run would be refused: {_inside(around)}"))
    return found


def demand(recipe: Recipe, host: Host) -> None:
    """Raise when the run cannot be launched here.

    Raises:
        LaunchError: more processes than devices, a package is missing, or another launcher has started this process.
    """
    if around := ranks.launcher_around():
        raise LaunchError(
            _inside(around),
            hint="run align train once: it starts its workers by itself; or align train … --prepare, and then "
            "python -m align_cli.worker RUN_DIR inside that launcher",
        )
    if unreachable := checks_launch.unreachable(recipe):
        raise LaunchError("the machines of this run cannot find each other", problems=[unreachable])
    strategy.demand(recipe, host, strategy.choose(recipe, host))


def demand_ports(recipe: Recipe, host: Host) -> None:
    """Raise, before anything is prepared or written, when this machine cannot listen where the recipe says.

    Raises:
        LaunchError: a port is in use, or the address of machine 0 is not one of this machine, which is machine 0.
    """
    chosen, launch = strategy.choose(recipe, host), recipe.launch
    if not chosen.needs_workers or chosen.machine_rank:
        return
    port = launch.main_process_port
    if chosen.machines > 1:
        port = port or DEFAULT_PORT
    if port is not None:
        ports.demand_free(port, machines=chosen.machines)
    if port is not None and chosen.machines > 1 and launch.main_process_ip:
        ports.demand_own(launch.main_process_ip, port)


def demand_same_kind(run: Run, plan: Plan) -> None:
    """A checkpoint holds the optimiser as its strategy deals it out; raise before the work where that does not fit.

    Raises:
        UsageError: the run began under another strategy, or with another number of processes where that matters.
    """
    from align_cli.runs import directory

    before = directory.plan_of(run.path)
    if run.state != "resume" or run.checkpoint is None or not before.get("strategy"):
        return
    then, now = str(before["strategy"]), plan.strategy
    if _KIND.get(then, then) != _KIND.get(now, now):
        raise UsageError(
            f"{run.checkpoint.name} was saved under {then}, and cannot go on under {now}",
            hint=f"launch.strategy={then} goes on from it, with any number of processes"
            if then != "zero3"
            else f"launch.strategy=zero3 launch.num_processes={before['num_processes']} goes on from it",
        )
    if now == "zero3" and before["num_processes"] != plan.num_processes:
        raise UsageError(
            f"{run.checkpoint.name} is dealt out to {before['num_processes']} processes, and there are "
            f"{plan.num_processes} now: a checkpoint of zero3 cannot be dealt out anew",
            hint=f"launch.num_processes={before['num_processes']} goes on from it",
        )


def _inside(around: str) -> str:
    return f"another launcher has started this command ({around}): each of its processes would train a whole run"


class Shown(Protocol):
    """Where progress goes."""

    def progress(self, moment: Progress) -> None:
        """One step."""

    def say(self, line: str) -> None:
        """One line."""


def work(
    run_dir: Path,
    plan: Plan,
    recipe: Recipe,
    shown: Shown,
    *,
    link: Machines | None = None,
    own: tuple[Path, Path] | None = None,
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """(metrics, facts) of the finished run; nothing on other machines than 0.

    `own`: where this machine has the prepared data and the model.

    Raises: as `worker.run` and `workers.attempts.run`.
    """
    if plan.kind == "inline":
        from align_cli.worker import run

        outcome = run(run_dir, on_progress=shown.progress, say=shown.say)
        return outcome.metrics, outcome.facts
    return _by_workers(run_dir, plan, recipe, shown, link, own)


def _by_workers(
    run_dir: Path,
    plan: Plan,
    recipe: Recipe,
    shown: Shown,
    link: Machines | None,
    own: tuple[Path, Path] | None,
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    from align_cli import worker
    from align_cli.launch.workers import attempts
    from align_cli.runs import directory

    def hear(kind: str, value: Any) -> None:
        if kind == "progress":
            shown.progress(Progress(**value))
        elif kind == "say":
            shown.say(str(value))

    env = dict(recipe.env)
    if own is not None and plan.machine_rank:
        env.update({worker.OWN_DATA: str(own[0]), worker.OWN_MODEL: str(own[1])})
    crew = attempts.crew_of(
        plan,
        env=env,
        logs=run_dir / directory.OURS / "logs",
        failure=lambda rank: directory.failure_file(run_dir, rank),
        threads_set="OMP_NUM_THREADS" in {**os.environ, **recipe.env},
    )
    result = attempts.run(
        crew,
        max_restarts=recipe.launch.max_restarts,
        on_event=hear,
        say=shown.say,
        link=link,
        patience=recipe.launch.rendezvous_timeout,
    )
    return result.get("metrics", {}), result.get("facts", {})
