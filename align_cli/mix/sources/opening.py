"""Open a file of rows, packed or not, and say plainly what is wrong with it as a whole."""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from align_cli.errors import DataError
from align_cli.mix.faults import fault
from align_cli.mix.sources.formats import File


def spoilt(file: File, message: str, hint: str = "", line: int | None = None) -> DataError:
    """The error for a file that is no use as a whole."""
    return fault(f"{file.shown}:{line}" if line else file.shown, message, hint)


def empty(file: File) -> DataError:
    """The error for a file without rows."""
    message = "the file holds no rows" if stamp(file)[0] else "the file is empty"
    return spoilt(file, message, "fill it, or take it out of the recipe")


@contextmanager
def opened(file: File) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed.

    Raises:
        DataError: it cannot be opened, is UTF-16, or its gzip stream is damaged (also while it is read).
    """
    try:
        with file.path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            if file.path.name.lower().endswith(".gz") and not packed and file.path.stat().st_size:
                raise spoilt(file, "the name says gzip and the content is not", "rename it without .gz")
            raw.seek(0)
            stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            if stream.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                name = file.path.name
                raise spoilt(
                    file, "the file is UTF-16; UTF-8 is read", f"iconv -f UTF-16 -t UTF-8 {name} > utf8-{name}"
                )
            stream.seek(0)
            yield stream
    except EOFError:
        raise spoilt(
            file, "the gzip stream ends too early: the file is truncated", "copy or download it again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise spoilt(file, f"the gzip stream is damaged: {error}", "copy or download it again") from None
    except OSError as error:
        raise spoilt(file, f"the file cannot be read: {error.strerror or error}", "") from None


@contextmanager
def text(file: File, *, newline: str | None = None) -> Iterator[IO[str]]:
    """The file's text, after its byte order mark.

    Raises:
        DataError: it is not UTF-8; the line is named.
    """
    try:
        with opened(file) as stream:
            wrapper = io.TextIOWrapper(stream, encoding="utf-8-sig", newline=newline)
            try:
                yield wrapper
            finally:
                wrapper.detach()
    except UnicodeDecodeError:
        raise _wrong_encoding(file) from None


def _wrong_encoding(file: File) -> DataError:
    """Read the file again to name the line, which a decoder that works in chunks does not know."""
    with opened(file) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return spoilt(
                    file,
                    f"not UTF-8 text (byte 0x{line[error.start]:02x} at column {error.start + 1})",
                    recode(file),
                    number,
                )
    return spoilt(file, "not UTF-8 text", "")


@contextmanager
def seekable(file: File) -> Iterator[Path]:
    """A path that can be read from any position: the file's own, or a temporary copy of what is in the gzip."""
    if not file.path.name.lower().endswith(".gz"):
        yield file.path
        return
    with tempfile.NamedTemporaryFile(suffix=f".{file.format}") as copy:
        with opened(file) as stream:
            shutil.copyfileobj(stream, copy)
        copy.flush()
        yield Path(copy.name)


def recode(file: File) -> str:
    """The command that makes UTF-8 of the likeliest other encoding."""
    name = file.path.name.removesuffix(".gz")
    return f"if it is Latin-1: iconv -f LATIN1 -t UTF-8 {name} > utf8-{name}"


def stamp(file: File) -> tuple[int, ...]:
    """Size, times of change (ns) and inode, by which a change during reading is noticed."""
    try:
        status = file.path.stat()
    except OSError as error:
        raise spoilt(file, f"the file cannot be read: {error.strerror or error}", "") from None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
