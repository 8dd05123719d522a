"""Sha256 of files, remembered: a large file is read for it once, not at every start.

A memory counts only while the file's path, device, inode, size, date of change (mtime) and date of the last change of
anything about it (ctime) are what they were. Nobody can set ctime, so an edit that puts mtime back is noticed.

The rule of git's index for racily clean files: two changes in one tick of the clock look like one, so a file that
changed less than two seconds before it was read is not remembered. Two seconds are the coarsest clock of a file system
in use. On a network file system ctime is its server's, which may be coarse or run behind ours; a file is opened before
it is asked for its dates, which makes NFS fetch them anew. Where a file system keeps no ctime (FAT, some FUSE), size
and mtime decide alone. Who trusts none of this deletes the folder `fingerprints` of the cache: nothing else is lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import IO, Any, NamedTuple

from align_cli import files

#: Bytes up to which reading the file costs no more than remembering it.
SMALL = 1 << 18
_RACY = 2 * 10**9  # ns
_CHUNK = 1 << 20
_STAMPS = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")


class Fingerprint(NamedTuple):
    """What a file holds."""

    bytes: int
    sha256: str


def of_file(path: Path) -> Fingerprint:
    """Size and digest of the file's content, from memory when it cannot have changed since.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        before = _stamp(file)
        size = before["st_size"]
        if size <= SMALL:
            return _read(file)
        memory = _place(path)
        if known := _recall(memory, before):
            return Fingerprint(size, known)
        begun = time.time_ns()
        found = _read(file)
        unchanged = _stamp(file) == before and found.bytes == size
    # A date in the future is a clock that cannot be trusted: never settled either.
    settled = begun - max(before["st_mtime_ns"], before["st_ctime_ns"]) >= _RACY
    if unchanged and settled:
        _remember(memory, path, before, found.sha256)
    return found


def known(path: Path) -> Fingerprint | None:
    """As `of_file`, but only from memory: a large file is never read."""
    try:
        with path.open("rb") as file:
            stamp = _stamp(file)
            if stamp["st_size"] <= SMALL:
                return _read(file)
            digest = _recall(_place(path), stamp)
    except OSError:
        return None
    return Fingerprint(stamp["st_size"], digest) if digest else None


def folder() -> Path:
    """Where digests are remembered. Not created."""
    return files.cache_root() / "fingerprints"


def prune() -> int:
    """Forget files that are gone, and what killed processes left; gives how many memories went."""
    forgotten = 0
    for memory in folder().iterdir() if folder().is_dir() else ():
        entry = _load(memory)
        if entry is None or not os.path.exists(str(entry.get("path"))):
            memory.unlink(missing_ok=True)
            forgotten += 1
    return forgotten


def _read(file: IO[bytes]) -> Fingerprint:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return Fingerprint(size, digest.hexdigest())


def _stamp(file: IO[bytes]) -> dict[str, int]:
    status = os.fstat(file.fileno())
    return {name: getattr(status, name) for name in _STAMPS}


def _place(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]
    return folder() / f"{name}.json"


def _recall(memory: Path, stamp: dict[str, int]) -> str | None:
    entry = _load(memory)
    if entry is None or entry.get("stamp") != stamp:
        return None
    digest = entry.get("sha256")
    return digest if isinstance(digest, str) and len(digest) == 64 else None


def _load(memory: Path) -> dict[str, Any] | None:
    """What is remembered there; None when that is nothing, or damaged."""
    try:
        entry = files.read_json(memory)
    except (OSError, ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _remember(memory: Path, path: Path, stamp: dict[str, int], digest: str) -> None:
    """Write atomically, so that processes at the same time see one memory or the other; failing costs only time.

    Not synced to the disk: what a power cut damages is ignored, and a thousand shards would wait a thousand times.
    """
    entry = {"path": os.path.realpath(path), "stamp": stamp, "sha256": digest}
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".", dir=memory.parent)
    except OSError:
        return
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(entry, file)
        os.replace(name, memory)
    except OSError:
        Path(name).unlink(missing_ok=True)
