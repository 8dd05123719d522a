"""The command that every machine of a job runs, and what a job may not hold."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from align_cli.errors import Problem, RecipeError, UsageError
from align_cli.recipe.schema import Recipe
from align_cli.recipe.secrets import SECRET_KEYS

#: Words of the launch block that a job says itself, differently on each machine.
_OWN = ("num_machines", "num_processes", "machine_rank", "main_process_ip", "main_process_port", "rendezvous")


def words(recipe: Recipe, path: str, *, per_machine: int | None) -> tuple[str, ...]:
    """`align train TASK PATH OVERRIDES`, without what the job says itself.

    `per_machine` processes run on each machine; None leaves their number to the recipe.

    Raises:
        RecipeError: an override holds a secret, which must not stand in a file.
    """
    keys = [override.partition("=")[0] for override in recipe.overrides]
    if secret := next((key for key in keys if key in SECRET_KEYS), None):
        hint = f"export {SECRET_KEYS[secret]} before the job is submitted"
        raise RecipeError("a job holds no secrets", problems=[Problem(f"{secret} is one", "command line", hint)])
    own = {f"launch.{word}" for word in _OWN if word != "num_processes" or per_machine is not None}
    kept = [text for key, text in zip(keys, recipe.overrides, strict=True) if key not in own]
    if recipe.launch.rendezvous:
        kept.append("launch.rendezvous=null")  # in the file; the job names machine 0 in two words
    return ("align", "train", recipe.task, path, *kept)


def processes(recipe: Recipe, gpus: int) -> int | None:
    """Processes on each machine: one a GPU, or without GPUs as the recipe says; None where nobody says."""
    if gpus:
        return gpus
    total = recipe.launch.num_processes
    return total // recipe.launch.num_machines if isinstance(total, int) else None


def gpus_of(recipe: Recipe) -> int | None:
    """GPUs that the recipe wants on each machine; 0 where it runs on CPUs, None where it does not say."""
    if recipe.get("use_cpu"):
        return 0
    return processes(recipe, 0)


def name_of(recipe: Recipe) -> str:
    """What a scheduler calls the job: of a shipped recipe its name, else that of the file."""
    path = Path(recipe.path) if recipe.path else Path(recipe.task)
    name = str(path.with_suffix("")) if not path.is_file() else path.stem
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-._")
    return plain if plain[:1].isalpha() else f"align-{plain or recipe.task}"  # sky wants a letter first


def file_of(recipe: Recipe, suffix: str) -> Path:
    """Where a job is written unless somebody says: here, named for the recipe."""
    return Path(f"{name_of(recipe)}{suffix}")


def single_lines(values: Iterable[tuple[str, str | None]]) -> None:
    """Refuse an option that would break out of its line.

    Raises:
        UsageError: a value holds a line break.
    """
    for option, value in values:
        if value is not None and ("\n" in value or "\r" in value):
            raise UsageError(f"{option} holds a line break")


def array(command: Sequence[str], *, indent: str = "    ") -> str:
    """The words of a command as lines of a bash array, each quoted once."""
    return "\n".join(f"{indent}{shlex.quote(word)}" for word in command)


def absolute(path: str) -> str:
    """A recipe file's absolute path; a shipped recipe's name as it is."""
    return os.path.abspath(os.path.expanduser(path)) if Path(path).expanduser().is_file() else path
