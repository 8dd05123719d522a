"""Records that are only ever added, each with a key, each on the disk before anybody counts on it.

A file of JSON lines. A process that dies while it writes leaves half a line at the end: that record was never promised
to anybody, and the next writer cuts it off. A later record with the same key stands for an earlier one.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from align_cli.errors import DataError, UsageError


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The records of a file by key, in the order in which the keys first came; empty where there is no file.

    Raises:
        DataError: a line before the last is no record: somebody else wrote into the file, or the disk is at fault.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as cause:
        raise DataError(f"{path}: cannot be read: {cause.strerror or cause}") from None
    found: dict[str, dict[str, Any]] = {}
    whole, _, rest = content.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    if _is_record(rest):  # an editor may have taken the last line's end away
        lines.append(rest)
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            found[record["key"]] = record
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(
                f"{path}:{number}: this line is no record",
                hint="restore the file from a copy, or take the line out: what it held is then done again",
            ) from None
    return found


def line_of(record: Mapping[str, Any]) -> bytes:
    """A record as a line. Half a surrogate pair, which UTF-8 cannot hold, is written as JSON's escape for it."""
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _is_record(line: bytes) -> bool:
    """Whether a line without an end was written whole."""
    try:
        return "key" in json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return False


class Journal:
    """A file of records, open to be added to. One process at a time: `exclusive` holds the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = read(path)
        """What the file holds, by key."""
        self._file: FileIO | None = None

    def __contains__(self, key: str) -> bool:
        return key in self.records

    def add(self, record: Mapping[str, Any]) -> None:
        """Write one record, with its `key`; it is on the disk when this returns."""
        line = line_of(record)
        if self._file is None:
            self._file = _opened(self.path)
        start = self._file.tell()
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except BaseException:  # a full disk, or Ctrl-C between two pieces: no half line stays before the next record
            self._file.truncate(start)
            self._file.seek(start)
            raise
        self.records[str(record["key"])] = dict(record)

    def close(self) -> None:
        """Close the file; `add` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _opened(path: Path) -> FileIO:
    """The file at its end, half a line cut off. Unbuffered: a record is one write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    file = FileIO(path, "w+" if is_new else "r+")
    content = file.read()
    rest = content.rpartition(b"\n")[2]
    if rest and not _is_record(rest):
        file.truncate(len(content) - len(rest))
    file.seek(0, os.SEEK_END)
    if _is_record(rest):
        file.write(b"\n")
    if is_new:
        _sync_folder(path.parent)
    return file


def _sync_folder(folder: Path) -> None:
    """A new file's name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(folder: Path, what: str) -> Iterator[None]:
    """Be the only process that writes into `folder` for the length of the block; the kernel frees it when we die.

    `what` says what is being done, to whoever comes second.

    Raises:
        UsageError: another process is at work there, or nothing can be written there.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = path.open("a+", encoding="utf-8")
    except OSError as cause:
        raise UsageError(f"{folder}: nothing can be written there: {cause.strerror or cause}") from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            other = file.read().strip() or "another align eval"
            raise UsageError(
                f"{folder}: {other} is at work in this folder",
                hint="wait until it is done, or stop it; what it has done is kept",
            ) from None
        file.truncate(0)
        file.write(f"{what} (process {os.getpid()})")
        file.flush()
        yield
        file.truncate(0)


@contextmanager
def all_exclusive(folders: Sequence[Path], what: str) -> Iterator[None]:
    """As `exclusive`, of several folders; in one order, so that two processes cannot wait for each other's half."""
    with ExitStack() as stack:
        for folder in sorted({folder.resolve() for folder in folders}):
            stack.enter_context(exclusive(folder, what))
        yield
