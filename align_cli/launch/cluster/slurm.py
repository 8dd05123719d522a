"""An sbatch file for a recipe on any number of nodes; the same file resumes a job that was stopped."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.launch.cluster import command, written
from align_cli.recipe.schema import Recipe

#: Slurm's own formats: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S.
_TIME = re.compile(r"[0-9]+(-[0-9]+)?(:[0-9]+){0,2}|infinite|unlimited", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class SlurmJob:
    """What Slurm is asked for."""

    name: str
    nodes: int
    gpus_per_node: int
    """0 for a job on CPUs."""
    directory: str
    """Where the command runs."""
    log: str = "%x-%j.out"
    """Slurm's pattern: job name, job number. Its folder must exist."""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    """`HH:MM:SS` or `D-HH:MM:SS`; empty: the partition's own limit."""
    cpus_per_task: int | None = None
    """Cores on each node."""
    port: int | None = None
    """Of machine 0; empty: from the job's number."""
    grace_s: int = 120
    """Seconds before the time limit at which a checkpoint is saved and the job queued again."""
    modules: tuple[str, ...] = ()
    venv: str | None = None
    setup: tuple[str, ...] = ()
    """Lines of shell to run first."""
    directives: tuple[str, ...] = ()
    """Further options of sbatch, e.g. `--constraint=h100`."""


def render(recipe: Recipe, job: SlurmJob) -> str:
    """The sbatch file, with our mark in it.

    Raises:
        UsageError: an option cannot stand in such a file.
        RecipeError: an override holds a secret.
    """
    _check(job)
    per_machine = command.processes(recipe, job.gpus_per_node)
    train = command.words(recipe, command.absolute(recipe.path), per_machine=per_machine)
    named = (("partition", job.partition), ("account", job.account), ("qos", job.qos), ("time", job.time))
    text = _template().render(
        job=job,
        places=[(option, value) for option, value in named if value],
        command=command.array(train),
        per_machine=per_machine,
    )
    return written.stamped(text)


def directive(value: str) -> str:
    """A value in an `#SBATCH` line, where sbatch reads quotes, `#` and blanks as a shell does."""
    return re.sub(r"""([\s'"\\#])""", r"\\\1", value)


def _check(job: SlurmJob) -> None:
    texts = [(f"--{name.replace('_', '-')}", getattr(job, name)) for name in job.__slots__]
    command.single_lines((option, value) for option, value in texts if isinstance(value, str))
    command.single_lines(("--module", value) for value in job.modules)
    command.single_lines(("--sbatch", value) for value in job.directives)
    for line in job.directives:
        if not line.startswith("-"):
            raise UsageError(f'"{line}" is no option of sbatch', hint="--sbatch=--constraint=h100")
    for option, number in (("--nodes", job.nodes), ("--cpus-per-task", job.cpus_per_task), ("--grace", job.grace_s)):
        if number is not None and number < 1:
            raise UsageError(f"{option} is {number}, expected at least 1")
    if job.time is not None and not _TIME.fullmatch(job.time):
        raise UsageError(
            f'--time is "{job.time}", which Slurm does not understand', hint="--time 12:00:00, or 1-12:00:00"
        )
    if job.gpus_per_node < 0:
        raise UsageError(f"--gpus-per-node is {job.gpus_per_node}, expected at least 0")


def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  a shell script; what is quoted is quoted for a shell
    )
    environment.filters.update(quote=shlex.quote, directive=directive)
    return environment.from_string((Path(__file__).parent / "slurm.sh.jinja").read_text(encoding="utf-8"))
