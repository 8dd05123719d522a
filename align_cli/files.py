"""Files that a reader sees whole or not at all, digests, and where `align` keeps its cache.

Every write that matters goes through here: into a temporary name beside the target, synced, then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20  # bytes read at a time


def cache_root() -> Path:
    """`$ALIGN_CACHE`, else `$XDG_CACHE_HOME/align`, else `~/.cache/align`. Not created."""
    if explicit := os.environ.get("ALIGN_CACHE"):
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "align"


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) so that `path` holds either its old content or all of the new."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` so that `path` holds either its old content or all of the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. Key order is kept, so equal values give equal bytes.

    Half a surrogate pair, which no file in UTF-8 can hold, is written as JSON's escape for it.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def read_json(path: Path) -> Any:
    """The JSON document in `path`."""
    return json.loads(path.read_text(encoding="utf-8"))


def obstacle(path: Path) -> str:
    """Why no file or folder `path` can be made, in words; empty if one can. Folders above it may be missing.

    Tried for real: permissions alone do not tell of read-only disks.
    """
    place = path.parent
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        return f"{place} is no folder"
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as cause:
        return cause.strerror or str(cause)


def move_aside(path: Path) -> Path:
    """Give a folder the first of the names NAME.old-1, NAME.old-2, … that is free; that name."""
    target = aside(path)
    path.rename(target)
    return target


def aside(path: Path) -> Path:
    """The name that `move_aside` would give it now."""
    number = 1
    while os.path.lexists(target := path.with_name(f"{path.name}.old-{number}")):
        number += 1
    return target


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that becomes `path` when the block ends well, and vanishes otherwise.

    If another process has made `path` meanwhile, theirs stays and ours vanishes: content-addressed folders are equal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield work
        os.chmod(work, 0o777 & ~_umask())
        try:
            os.rename(work, path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; a second process that asks waits. The kernel frees it when its holder dies."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Who cleans the cache may have taken the file away while we waited: the lock is another file then.
            if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                continue
            yield
            return


def build_once(folder: Path, make: Callable[[Path], None]) -> bool:
    """Let `make` fill `folder` unless it exists; True if it did. A second process that asks meanwhile waits.

    For content-addressed folders: what a killed build left behind is swept away by the next one.
    """
    if folder.is_dir():
        return True
    with locked(folder.with_name(f".{folder.name}.lock")):
        if folder.is_dir():
            return True
        for left in folder.parent.glob(f".{folder.name}.*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        with new_folder(folder) as work:
            make(work)
    return False


def digest_of(value: Any) -> str:
    """Sha256 (hex) of a JSON-able value; independent of the order in which dictionaries were filled."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest_of_file(path: Path) -> str:
    """Sha256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
