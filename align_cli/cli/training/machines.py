"""`align train` on one of several machines: find the others, agree on what is trained, and share or copy its folder."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from align_cli import __version__
from align_cli.errors import LaunchError
from align_cli.files import write_text
from align_cli.launch.plan import DEFAULT_PORT, Plan
from align_cli.launch.workers import machines
from align_cli.launch.workers.machines import Machines
from align_cli.recipe.schema import Recipe
from align_cli.runs import directory, identity
from align_cli.runs.directory import OURS, Run

#: Written by machine 0 into the run directory: who finds it there looks at the same disk.
_MARK = "machines.txt"


def meet(plan: Plan, recipe: Recipe, prepared: Any, model: Path, *, say: Callable[[str], None]) -> Machines | None:
    """The link to the other machines, once all are there and would train the same; None on a single machine.

    Raises:
        LaunchError: they cannot be found, or differ.
    """
    if plan.num_machines == 1:
        return None
    host, _, port = plan.main_process.partition(":")
    hello = {
        "machine": plan.machine_rank,
        "host": socket.gethostname(),
        "machines": plan.num_machines,
        "processes": plan.local_processes,
        "recipe": identity.digest(recipe),
        "keys": identity.keys(recipe),
        "data": prepared.digest,
        "model": model.name,
        "align": __version__,
        "torch": _version("torch"),
    }
    seconds = float(recipe.launch.rendezvous_timeout)
    number = int(port or DEFAULT_PORT)
    if plan.machine_rank == 0:
        return machines.gather(hello, port=number, machines=plan.num_machines, seconds=seconds, say=say)
    return machines.join(hello, address=host, port=number, seconds=seconds, say=say)


def seal(link: Machines | None, run: Run, recipe: Recipe, plan: Plan, prepared: Any, model: Path) -> None:
    """Write the run directory: once where the machines share a disk, on each where they do not.

    Raises: as `directory.seal`, and
        LaunchError: a checkpoint to go on from is not on this machine.
    """
    if link is None:
        directory.seal(run, recipe, plan.as_dict(), prepared, model)
        return
    try:
        if link.rank == 0:
            directory.seal(run, recipe, plan.as_dict(), prepared, model)
            token = uuid.uuid4().hex
            write_text(run.path / OURS / _MARK, token)
            link.tell("sealed", {"token": token, "checkpoint": run.checkpoint.name if run.checkpoint else None})
            return
        said = link.wait_for("sealed", seconds=recipe.launch.rendezvous_timeout, doing="machine 0 made the folder")[0]
        if _mark_in(run.path) == said["token"]:
            return
        own = run.checkpoint.name if run.checkpoint else None
        if own != said["checkpoint"]:
            raise LaunchError(
                f"machine 0 goes on from {said['checkpoint'] or 'the beginning'}, and here {run.path} has "
                f"{own or 'no checkpoint'}",
                hint="put output_dir on a disk that all machines share, or set save_on_each_node: true",
            )
        directory.seal(run, recipe, plan.as_dict(), prepared, model)
    except BaseException as cause:
        link.tell("gave up", f"machine {link.rank} ({socket.gethostname()}) gave up: {cause}")
        link.close(orderly=False)
        raise


def _mark_in(path: Path) -> str:
    """The token of a shared folder. Network disks show a new file late: the folder's list is read anew."""
    place = path / OURS
    try:
        os.listdir(place)
        return (place / _MARK).read_text(encoding="utf-8")
    except OSError:
        return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
