"""A SkyPilot task for a recipe: machines of any cloud that fetch align, run the recipe, and may keep the output."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from align_cli.errors import UsageError
from align_cli.launch.cluster import command, written
from align_cli.recipe.schema import Recipe

#: Where the store is mounted on the machines.
STORE = "/outputs"


@dataclass(frozen=True, kw_only=True, slots=True)
class SkyTask:
    """What SkyPilot is asked for."""

    name: str
    nodes: int
    accelerators: str | None
    """`NAME:COUNT` on each machine, e.g. `H100:8`; None for machines without."""
    workdir: str
    """The folder that is copied to the machines; a recipe that is a file lies in it."""
    infra: str | None = None
    """Cloud, region and zone, e.g. `aws/us-east-1`; empty: the cheapest that is open to you."""
    spot: bool = False
    """Machines that may be taken away."""
    disk_size: int | None = None
    """GB on each machine."""
    store: str | None = None
    """Bucket to keep the output in: a name, or a URL such as `s3://NAME`."""
    setup: tuple[str, ...] = ()
    """Lines of shell that install align; empty: from the package index."""
    secrets: tuple[str, ...] = ()
    """Environment variables to pass on, e.g. HF_TOKEN; their values stand in no file."""

    @property
    def gpus(self) -> int:
        """GPUs on each machine."""
        return int((self.accelerators or ":0").rpartition(":")[2])


def render(recipe: Recipe, task: SkyTask) -> str:
    """The task file, with our mark in it.

    Raises:
        UsageError: the recipe is a file outside the folder that is copied, or an option is wrong.
        RecipeError: an override holds a secret.
    """
    if task.nodes < 1:
        raise UsageError(f"--nodes is {task.nodes}, expected at least 1")
    document: dict[str, Any] = {"name": task.name, "num_nodes": task.nodes, "resources": _resources(task)}
    document["workdir"] = task.workdir
    if task.secrets:
        document["secrets"] = dict.fromkeys(task.secrets)
    if task.store:
        source = {"source": task.store} if "://" in task.store else {"name": task.store}
        document["file_mounts"] = {STORE: {**source, "mode": "MOUNT"}}
    document["setup"] = "\n".join(task.setup or (_install(recipe),)) + "\n"
    document["run"] = _run(recipe, task)
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return written.stamped(text)


def parse_accelerators(text: str, recipe: Recipe) -> str:
    """`H100` with the number of GPUs that the recipe wants on each machine; `H100:8` as it is.

    Raises:
        UsageError: it is neither, or nobody says how many.
    """
    name, colon, count = text.partition(":")
    if not colon:
        wanted = command.gpus_of(recipe)
        if not wanted:
            raise UsageError(f"--gpus {text}: how many on each machine?", hint=f"--gpus {text}:8")
        count = str(wanted)
    if not name or not (count.isascii() and count.isdigit()) or int(count) < 1:
        raise UsageError(f'--gpus: expected NAME:COUNT, not "{text}"', hint="--gpus H100:8")
    return f"{name}:{count}"


def _resources(task: SkyTask) -> dict[str, Any]:
    asked = {
        "infra": task.infra,
        "accelerators": task.accelerators,
        "use_spot": task.spot or None,
        "disk_size": task.disk_size,
    }
    return {word: value for word, value in asked.items() if value is not None}


def _install(recipe: Recipe) -> str:
    from align_cli import __version__

    extra = "[deepspeed]" if recipe.launch.strategy.startswith("zero") or recipe.get("deepspeed") else ""
    return f'pip install "align-cli{extra}=={__version__}"'


def _run(recipe: Recipe, task: SkyTask) -> str:
    per_machine = command.processes(recipe, task.gpus)
    train = list(command.words(recipe, _inside(recipe.path, task.workdir), per_machine=per_machine))
    if task.store:
        train = [word for word in train if not word.startswith("output_dir=")]
        train.append(f"output_dir={STORE}/{os.path.basename(str(recipe.get('output_dir') or task.name).rstrip('/'))}")
    lines = ['head_node=$(echo "$SKYPILOT_NODE_IPS" | head -n 1)', "command=(", command.array(train)]
    lines.append('    "launch.num_machines=$SKYPILOT_NUM_NODES"')
    if per_machine:
        lines.append(f'    "launch.num_processes=$((SKYPILOT_NUM_NODES * {per_machine}))"')
    lines.append('    "launch.machine_rank=$SKYPILOT_NODE_RANK"')
    lines.append('    "launch.main_process_ip=$head_node"')
    if recipe.launch.main_process_port:
        lines.append(f"    launch.main_process_port={recipe.launch.main_process_port}")
    return "\n".join([*lines, ")", 'exec "${command[@]}"', ""])


def _inside(path: str, workdir: str) -> str:
    """A recipe file's path from the folder that is copied; a shipped recipe's name as it is."""
    file, folder = Path(command.absolute(path)), Path(workdir).expanduser().resolve()
    if not file.is_absolute():
        return path
    try:
        return str(file.resolve().relative_to(folder))
    except ValueError:
        hint = f"--workdir {os.path.commonpath([file.resolve(), folder])} copies a folder that holds it"
        raise UsageError(f"{path} is outside {workdir}, which is what the machines get", hint=hint) from None


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Texts of several lines as blocks, so that a task can be read; null as nothing."""


def _text(dumper: yaml.SafeDumper, value: str) -> Any:
    style = "|" if "\n" in value and not any(line.endswith((" ", "\t")) for line in value.split("\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
