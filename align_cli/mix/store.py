"""The store of finished mixtures: one folder for each digest, made once by one process, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from align_cli import files
from align_cli.errors import AlignError, UsageError

REPORT = "mixture.json"


@dataclass(frozen=True, slots=True)
class Stored:
    """One finished mixture."""

    digest: str
    folder: Path
    size: int
    """Bytes."""
    modified: float
    """When it was made, in seconds since 1970."""


def root() -> Path:
    """Where mixtures are kept. Not created."""
    return files.cache_root() / "mixtures"


def find(digest: str) -> Path | None:
    """The folder of a finished mixture; None when there is none."""
    folder = root() / digest
    return folder if (folder / REPORT).is_file() else None


def stored() -> list[Stored]:
    """Every finished mixture, newest first."""
    found = []
    for folder in root().iterdir() if root().is_dir() else ():
        if (folder / REPORT).is_file():
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            found.append(Stored(folder.name, folder, size, folder.stat().st_mtime))
    return sorted(found, key=lambda entry: entry.modified, reverse=True)


@contextmanager
def building(digest: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the right to build this digest; a second process waits and says so.

    Half-made folders that a killed process left behind are removed. The lock ends with the process that holds it.

    Raises:
        UsageError: the store cannot be written to.
        AlignError: the disk is full.
    """
    try:
        root().mkdir(parents=True, exist_ok=True)
        with (root() / f".{digest}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another process is building this mixture; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            for remains in root().glob(f".{digest}.*"):
                if remains.is_dir():
                    shutil.rmtree(remains, ignore_errors=True)
            yield
    except OSError as error:
        raise _storage_error(error) from error


def _storage_error(error: OSError) -> AlignError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
    if full:
        return AlignError(
            f"the disk that holds {root()} is full; nothing half-made was left there",
            hint="free some space, or set ALIGN_CACHE to a folder on a larger disk",
        )
    return UsageError(
        f"the store {root()} cannot be used: {error.strerror or os.strerror(error.errno or 0)}",
        hint="set ALIGN_CACHE to a folder that you may write to",
    )
