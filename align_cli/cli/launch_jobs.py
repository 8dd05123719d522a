"""What `align launch slurm` and `align launch sky` have in common: a right recipe, a file, and its submission."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from align_cli import registry
from align_cli.cli import documents
from align_cli.cli.recipes import task as task_command
from align_cli.cli.recipes.recipe import task_of
from align_cli.cli.training import known
from align_cli.errors import LaunchError, UsageError
from align_cli.launch import block
from align_cli.launch.cluster import command, handbook, written
from align_cli.recipe import load
from align_cli.recipe.schema import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What the command line names: a task, where it does, and words for the recipe."""

    task: str | None
    words: tuple[str, ...]
    is_handbook: bool = False


def understood(rest: Sequence[str], task: str | None, config: str | None = None) -> Words:
    """The words after the command: a recipe and overrides, a task before them or not, or launch.slurm's.

    Raises:
        UsageError: nothing names a recipe.
    """
    words = [*([config] if config else []), *rest]
    tasks = registry.names(registry.TASKS)
    if not words:
        raise UsageError("no recipe is named", hint="align recipe ls lists those shipped")
    asked = handbook.positional(words, tasks) if task is None else None
    if asked is not None:
        return Words(task=asked.task, words=(asked.recipe, *asked.overrides), is_handbook=True)
    if task is None and len(words) > 1 and words[0] in tasks and not Path(words[0]).exists():
        return Words(task=words[0], words=tuple(words[1:]))
    return Words(task=task, words=tuple(words))


def checked(words: Words, *extra: str) -> Recipe:
    """The recipe, as a dry run would check it: block, data and model, every problem at once.

    `extra` are overrides that the job itself will make.

    Raises:
        AlignError: something is wrong.
    """
    recipe = next((word for word in words.words if not word.startswith("-") and "=" not in word), "")
    task = task_command.get(words.task or task_of(recipe))
    loaded = block.settled(load.load([*words.words, *extra], task))
    if not loaded.path:
        raise UsageError("a job needs a recipe, not only overrides", hint="align recipe ls lists those shipped")
    now = known.before(loaded, task)
    if now.error is not None:
        raise now.error
    for note in (*loaded.notes, *now.elsewhere):
        say(f"note: {note}")
    return loaded


def for_job(words: Words, recipe: Recipe, nodes: int, gpus: int) -> Recipe:
    """The recipe checked once more with the job's own numbers of machines and processes.

    Raises:
        UsageError: these cannot be, or an override on the command line says something else.
    """
    if nodes < 1:
        raise UsageError(f"--nodes is {nodes}, expected at least 1")
    per_machine = command.processes(recipe, gpus)
    origin, wanted = recipe.origins.get("launch.num_processes"), recipe.launch.num_processes
    if gpus and origin is not None and origin.kind == "command line" and wanted not in ("auto", nodes * gpus):
        machines = f"{nodes} machines with {gpus} GPUs each" if nodes > 1 else f"one machine with {gpus} GPUs"
        raise UsageError(
            f"{origin}: {machines} run {nodes * gpus} processes, one a GPU",
            hint="remove it, or ask for as many GPUs as there are processes",
        )
    extra = [f"launch.num_machines={nodes}", "launch.rendezvous=null", "launch.main_process_ip=head"]
    if per_machine:
        extra.append(f"launch.num_processes={nodes * per_machine}")
    task = task_command.get(recipe.task)
    return block.settled(load.load([*words.words, *extra], task))


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What is done with a rendered file."""

    dry_run: bool
    submit: bool
    force: bool
    as_json: bool


def deliver(text: str, path: Path, how: Delivery, submission: Sequence[str], hint: str) -> None:
    """Print the file, or write it and perhaps submit it.

    Raises:
        LaunchError: the scheduler's command is missing or refuses.
    """
    if how.dry_run:
        sys.stdout.write(text)
        return
    if how.submit and shutil.which(submission[0]) is None:
        raise LaunchError(f"{submission[0]} is not on this machine: nothing was submitted or written", hint=hint)
    written.write(path, text, force=how.force)
    line = shlex.join(word for word in submission if word != "--parsable")
    answer = _submit(submission) if how.submit else None
    if how.as_json:
        documents.write({"file": str(path), "command": line, "submitted": answer}, sys.stdout)
        return
    if answer is None:
        say(f"next: look at it, then {line}")
    else:
        say(f"{path} is submitted")
    sys.stdout.write(f"{answer or path}\n")


def _submit(submission: Sequence[str]) -> str:
    """The job's number where `sbatch --parsable` says it; sky asks and talks by itself, which is no result."""
    captured = "--parsable" in submission
    sys.stdout.flush()
    done = subprocess.run(submission, stdout=subprocess.PIPE if captured else 2, text=True, check=False)
    if done.returncode:
        raise LaunchError(f"{submission[0]} did not take the job (exit code {done.returncode})")
    return (done.stdout or "").strip().partition(";")[0]


def say(line: str) -> None:
    """One line to the person."""
    from align_cli.cli.errors import without_secrets

    sys.stderr.write(without_secrets(line) + "\n")
    sys.stderr.flush()
