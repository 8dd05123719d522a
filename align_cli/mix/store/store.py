"""The store of finished mixtures, and what else the cache holds: tokens, converted models and tokenizers.

One folder for each digest, made once by one process, whole or not at all: see `folders`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from align_cli import files, fingerprints
from align_cli.errors import AlignError, DataError, UsageError
from align_cli.mix.store import folders
from align_cli.mix.store.inventory import REPORT, Entry, Kind, entry_of, is_whole, made, report_of, with_labels

__all__ = [
    "REPORT",
    "Entry",
    "Kind",
    "Remains",
    "Stored",
    "building",
    "entries",
    "find",
    "is_whole",
    "matching",
    "remains",
    "remove",
    "report_of",
    "root",
    "stored",
    "sweep",
]

#: Kind -> folder of the cache. Their makers are `mix.build`, `tasks.preparing`, `models.locate`, `models.tokenizer` and
#: `tasks.training.reference`.
PARTS: Mapping[Kind, str] = {
    "mixture": "mixtures",
    "tokens": "tokens",
    "model": "models",
    "tokenizer": "tokenizers",
    "reference": "reference",
}
_NO_ENTRIES = ("digests",)  # models' memory of digests lies among the models
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_ELSEWHERE = "set ALIGN_CACHE to a folder"


@dataclass(frozen=True, slots=True)
class Stored:
    """One finished mixture."""

    digest: str
    folder: Path
    size: int
    """Bytes."""
    modified: float
    """When it was made, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remains:
    """What killed processes left of one folder: half-made folders and a lock that nobody holds."""

    kind: Kind
    digest: str
    paths: tuple[Path, ...]
    bytes: int


def root() -> Path:
    """Where mixtures are kept. Not created."""
    return files.cache_root() / "mixtures"


def find(digest: str) -> Path | None:
    """The folder of a finished mixture; None when there is none, or only a damaged one."""
    folder = root() / digest
    return folder if is_whole(folder) else None


def stored() -> list[Stored]:
    """Every finished mixture, newest first."""
    found = []
    for folder in folders.listed(root()):
        if is_whole(folder):
            found.append(Stored(folder.name, folder, folders.size(folder), made(folder)))
    return sorted(found, key=lambda entry: (-entry.modified, entry.digest))


@contextmanager
def building(digest: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the right to build this digest; a second process waits and says so.

    What a killed process left behind, or damaged, is removed first, and the lock file afterwards.

    Raises:
        UsageError: the store cannot be written to.
        AlignError: the disk is full.
    """
    folder = root() / digest
    try:
        root().mkdir(parents=True, exist_ok=True)
        with folders.locked(folder, say):
            folders.sweep(folder)
            if folder.exists() and not is_whole(folder):
                say("a damaged mixture was in the store; it is built again")
                folders.set_aside(folder)
            yield
    except OSError as error:
        raise _storage_error(error) from error


def entries() -> list[Entry]:
    """Everything in the cache that is finished, mixtures first, newest first. Damaged things are listed as such."""
    found = [entry_of(kind, folder) for kind in PARTS for folder in _folders(kind)]
    labels = {entry.digest: entry.labels for entry in found if entry.kind == "mixture"}
    found = [with_labels(entry, labels) for entry in found]
    kinds = list(PARTS)
    return sorted(found, key=lambda entry: (kinds.index(entry.kind), -entry.made, entry.digest))


def matching(prefix: str) -> Entry:
    """The entry whose digest begins so.

    Raises:
        UsageError: none does, or several do.
    """
    found = [entry for entry in entries() if prefix and entry.digest.startswith(prefix)]
    exact = [entry for entry in found if entry.digest == prefix]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if not found:
        raise UsageError(f'nothing in the cache has a digest that begins with "{prefix}"', hint="align cache ls")
    listed = ", ".join(f"{entry.digest[:16]} ({entry.kind})" for entry in found[:5])
    raise UsageError(f'{len(found)} digests begin with "{prefix}": {listed}', hint="write more of it")


def remove(digest: str) -> Entry:
    """Remove what has this digest, or the only thing whose digest begins so; gives what it was.

    Processes that have its files open keep reading them.

    Raises:
        UsageError: there is no such thing, it is being built, or it may not be removed.
    """
    entry = matching(digest)
    try:
        with folders.locked(entry.folder) as held:
            if not held:
                raise UsageError(
                    f"the {entry.kind} {entry.digest[:16]} is being built by another process",
                    hint="remove it when that process is done",
                )
            folders.sweep(entry.folder)
            folders.set_aside(entry.folder)
    except OSError as error:
        raise UsageError(f"{entry.folder}: cannot be removed: {error.strerror or error}") from error
    return entry


def remains() -> list[Remains]:
    """What killed processes left in the cache; what is being built now is none of it."""
    found = []
    for kind, folder in _left():
        if folders.is_held(folder):
            continue
        paths = folders.remains_of(folder)
        size = sum(folders.size(path) for path in paths)
        lock = folders.lock_of(folder)
        if lock.exists() and (kind == "mixture" or not folder.exists()):  # `files.build_once` leaves its lock there
            paths.append(lock)
        if paths:
            found.append(Remains(kind=kind, digest=folder.name, paths=tuple(paths), bytes=size))
    return found


def sweep() -> list[Remains]:
    """Remove what killed processes left, and the memory of files that are gone; gives what went."""
    gone = []
    for left in remains():
        folder = left.paths[0].parent / left.digest
        try:
            with folders.locked(folder) as held:
                if held:  # not begun meanwhile
                    folders.sweep(folder)
                    gone.append(left)
        except OSError:  # not ours to remove; `remains` lists it again
            continue
    fingerprints.prune()
    return gone


def _folders(kind: Kind) -> list[Path]:
    return [folder for folder in folders.listed(files.cache_root() / PARTS[kind]) if folder.name not in _NO_ENTRIES]


def _left() -> Iterator[tuple[Kind, Path]]:
    """Folders of which there is a lock or half-made remains; they need not exist."""
    for kind, name in PARTS.items():
        parent = files.cache_root() / name
        try:
            hidden = [path.name for path in parent.iterdir() if path.name.startswith(".")]
        except OSError:
            continue
        for digest in sorted({name[1:].rpartition(".")[0] for name in hidden}):
            if digest:
                yield kind, parent / digest


def _storage_error(error: OSError) -> AlignError:
    """What went wrong with the disk, in a sentence; an error about a file outside the cache is the data's."""
    reason = error.strerror or str(error) or os.strerror(error.errno or 0)
    if error.errno in _FULL or "No space left" in str(error):
        return AlignError(
            f"the disk that holds {root()} is full; nothing half-made was left there",
            hint=f"free some space (align cache ls, align cache rm), or {_ELSEWHERE} on a larger disk",
        )
    if error.errno == errno.EFBIG:
        return AlignError(
            f"a file in {root()} would be larger than this system allows; nothing half-made was left there",
            hint=f"raise the limit (ulimit -f), or {_ELSEWHERE} on another file system",
        )
    if error.errno in _NO_LOCKS:
        return UsageError(f"the file system of {root()} has no locks: {reason}", hint=f"{_ELSEWHERE} on a local disk")
    if isinstance(error.filename, str | Path) and not Path(error.filename).is_relative_to(files.cache_root()):
        return DataError(f"{error.filename}: {reason}", hint="run again when the file can be read")
    return UsageError(f"the store {root()} cannot be used: {reason}", hint=f"{_ELSEWHERE} that you may write to")
