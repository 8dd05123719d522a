"""Folders named by a digest: made by the holder of a lock, complete or not there, and swept up after a kill.

A folder is made under a hidden name, `.NAME.…`, while its maker holds the lock `.NAME.lock`, and renamed when it is
complete. The kernel frees a lock when its holder dies; what the dead left goes when somebody gets the lock next.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def listed(parent: Path) -> list[Path]:
    """The folders in a part of the cache, without hidden ones; none when it does not exist or cannot be read."""
    try:
        return sorted(entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def lock_of(folder: Path) -> Path:
    """The lock file whose holder may make or remove this folder."""
    return folder.with_name(f".{folder.name}.lock")


def remains_of(folder: Path) -> list[Path]:
    """Half-made folders: what a build is working in, or what a killed one left."""
    try:
        return sorted(path for path in folder.parent.glob(f".{glob.escape(folder.name)}.*") if path.is_dir())
    except OSError:
        return []


def is_held(folder: Path) -> bool:
    """Whether some process is making or removing this folder."""
    try:
        with lock_of(folder).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def size(folder: Path) -> int:
    """Bytes of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


@contextmanager
def locked(folder: Path, say: Callable[[str], None] | None = None) -> Iterator[bool]:
    """Hold the folder's lock and take its file away afterwards; without `say` do not wait, and yield False instead."""
    lock = lock_of(folder)
    held = _acquired(lock, say)
    if held is None:
        yield False
        return
    try:
        yield True
    finally:
        # While it is still held: whoever waits for it sees that its file is gone and starts over.
        lock.unlink(missing_ok=True)
        held.close()


def sweep(folder: Path) -> None:
    """Remove what killed processes left of this folder. Only for who holds its lock."""
    for remains in remains_of(folder):
        shutil.rmtree(remains, ignore_errors=True)


def set_aside(folder: Path) -> None:
    """Remove a folder so that nobody ever sees half of it. Only for who holds its lock."""
    hidden = folder.with_name(f".{folder.name}.removed")
    shutil.rmtree(hidden, ignore_errors=True)
    os.rename(folder, hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _acquired(lock: Path, say: Callable[[str], None] | None) -> IO[bytes] | None:
    """The open lock file, held. Its holder's process number is in it."""
    has_said = False
    while True:
        file = lock.open("a+b", buffering=0)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if say is None:
                    file.close()
                    return None
                if not has_said:
                    say(f"another process{_holder(file)} is building this mixture; waiting for it")
                    has_said = True
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still(file, lock):
                with suppress(OSError):  # a full disk is not this file's to report
                    file.truncate(0)
                    file.write(str(os.getpid()).encode())
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # its file was taken away while we waited: the lock is another file now


def _holder(file: IO[bytes]) -> str:
    file.seek(0)
    number = file.read(20)
    return f" ({number.decode()})" if number.isdigit() else ""


def _is_still(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
