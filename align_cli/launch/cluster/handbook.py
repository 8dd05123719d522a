"""The words of the Handbook's `launch.slurm`, in both its spellings, as a recipe and overrides of today.

`MODEL TASK PRECISION ACCELERATOR 'ARGS'` until 2025, then `--model --task --config --accelerator --dp --tp --args`.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from align_cli.errors import UsageError
from align_cli.launch import presets
from align_cli.launch.accelerate import table
from align_cli.recipe import shipped

#: GPUs of every node that launch.slurm was written for.
GPUS_PER_NODE = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What launch.slurm was asked for."""

    task: str
    recipe: str
    overrides: tuple[str, ...]


def positional(words: Sequence[str], tasks: Collection[str]) -> Asked | None:
    """What four or five bare words mean; None where they are not launch.slurm's.

    Raises:
        UsageError: they are, and name a recipe or an accelerator that there is not.
    """
    if len(words) not in (4, 5) or words[1] not in tasks or any("=" in word for word in words[:4]):
        return None
    model, task, precision, accelerator = words[:4]
    return asked(model, task, precision, accelerator, words[4] if len(words) == 5 else "")


def asked(model: str, task: str, config: str, accelerator: str, args: str = "") -> Asked:
    """What the words mean one by one; `args` is one word that holds overrides with blanks between them.

    Raises:
        UsageError: there is no such recipe or accelerator.
    """
    try:
        overrides = shlex.split(args)
    except ValueError as error:
        raise UsageError(f"the overrides cannot be read: {error}", hint=args) from None
    return Asked(
        task=task,
        recipe=_recipe(model, task, config),
        overrides=(_accelerator(accelerator), *overrides) if accelerator else tuple(overrides),
    )


def _recipe(model: str, task: str, config: str) -> str:
    folder = Path("recipes") / model / task
    for name in (f"config_{config}.yaml", f"{config}.yaml", *(("config.yaml",) if config in ("", "config") else ())):
        if (folder / name).is_file():
            return str(folder / name)
    name = f"{model}/{task}/{config}".lower()
    if shipped.find(name) is not None:
        return name
    near = difflib.get_close_matches(name, shipped.names(), n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "align recipe ls lists the shipped ones"
    raise UsageError(f"there is no recipe for {model} {task} {config}: neither {folder} nor {name}", hint=hint)


def _accelerator(name: str) -> str:
    file = Path("recipes/accelerate_configs") / f"{name.removesuffix('.yaml')}.yaml"
    if file.is_file():
        return f"launch.accelerate_config={file}"
    if preset := table.preset_for(file.name) or (name if presets.find(name) else ""):
        return f"launch.preset={preset}"
    hint = f"known: {', '.join([*table.handbook_names(), *presets.names()])}"
    raise UsageError(f'there is no accelerator "{name}"', hint=hint)
