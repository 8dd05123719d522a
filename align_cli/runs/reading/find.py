"""Finding run directories: below folders, or by the name that somebody remembers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from align_cli.errors import UsageError
from align_cli.files import cache_root
from align_cli.registry import suggest
from align_cli.runs.directory import MANIFEST, OURS, PLAN, RECIPE

#: Where runs are looked for when nobody says where.
PLACES = (Path("runs"), Path())
DEEPEST = 4  # folders below a place
_MOST = 20_000  # folders looked into; a home directory may have millions
_MARKS = (PLAN, RECIPE, MANIFEST)
#: Large folders in which no run begins; hidden folders are passed by as well.
_PASSED_BY = re.compile(r"\..*|checkpoint-\d+|__pycache__|node_modules|site-packages|v?env|wandb|mlruns", re.IGNORECASE)
#: What the kernel shows of processes and devices.
_UNREAL = (Path("/proc"), Path("/sys"), Path("/dev"))
_MOST_NAMED = 8


class Found(NamedTuple):
    """What a search met."""

    runs: list[Path]
    unreadable: list[Path]
    is_cut_short: bool
    """There were more folders than are looked into."""


def is_run(folder: Path) -> bool:
    """Whether `align train` has made a run of this folder."""
    return any((folder / OURS / name).is_file() for name in _MARKS)


def below(places: Iterable[Path] = PLACES, *, deepest: int = DEEPEST) -> Found:
    """The run directories at and below `places`, the nearest first; a place that is not there holds none.

    Links to folders are followed, each folder is looked into once, and never one inside a run.
    """
    runs: list[Path] = []
    unreadable: list[Path] = []
    seen = _identities([cache_root(), *_UNREAL])
    waiting = [(place, 0) for place in places if place.is_dir()]
    looked = 0
    while waiting:
        if looked >= _MOST:
            return Found(runs, unreadable, True)
        following: list[tuple[Path, int]] = []
        for folder, depth in waiting:
            looked += 1
            if (identity := _identity(folder)) is None or identity in seen:
                continue
            seen.add(identity)
            if is_run(folder):
                runs.append(folder)
            elif depth < deepest:
                try:
                    following += [(child, depth + 1) for child in _folders(folder)]
                except OSError:
                    unreadable.append(folder)
        waiting = following
    return Found(runs, unreadable, False)


def named(name: str, places: Sequence[Path] = PLACES) -> Path:
    """The run that a word on the command line means: a path, or the last parts of one that `below` finds.

    Raises:
        UsageError: there is none, or several; near names are suggested.
    """
    path = Path(name).expanduser()
    if is_run(path):
        return path
    if owner := _owner(path):
        raise UsageError(f"{name} is a part of the run {owner}", hint=f"name the run: {owner}")
    parts = Path(name).parts
    known = below(places).runs
    fitting = [run for run in known if parts and _absolute(run).parts[-len(parts) :] == parts]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        listed = ", ".join(str(run) for run in fitting[:_MOST_NAMED])
        raise UsageError(f'"{name}" is the name of {len(fitting)} runs: {listed}', hint="name one by its path")
    if path.exists():
        what = "a file" if path.is_file() else "a folder, but not a run"
        raise UsageError(f"{name} is {what}: it has no {OURS}/{PLAN}", hint="align runs ls lists the runs")
    names = [*(_absolute(run).name for run in known), *map(str, known)]
    hint = suggest(name, dict.fromkeys(names))
    near = hint if hint.startswith("did you mean") else "align runs ls lists the runs"
    raise UsageError(f'there is no run "{name}"', hint=near)


def _owner(path: Path) -> Path | None:
    """The run that `path` is inside of."""
    return next((parent for parent in path.parents if is_run(parent)), None) if path.exists() else None


def _absolute(path: Path) -> Path:
    """Links stay: a run is called what its user calls it."""
    return Path(os.path.abspath(path))


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if not _PASSED_BY.fullmatch(entry.name) and entry.is_dir())


def _identities(folders: Iterable[Path]) -> set[tuple[int, int]]:
    return {identity for folder in folders if (identity := _identity(folder)) is not None}


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
