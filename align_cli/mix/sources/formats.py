"""Files of rows: how each is read, told by its name or its first bytes, and what messages call it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from align_cli.mix.faults import fault

#: File name ending -> how the file is read; each also with `.gz` after it.
FORMATS: Mapping[str, str] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "txt",
    ".text": "txt",
}
READABLE = ", ".join(FORMATS)


@dataclass(frozen=True, slots=True)
class File:
    """One file of rows. `shown` is what messages call it; `format` a value of FORMATS."""

    path: Path
    format: str
    shown: str


def format_of(path: Path) -> str | None:
    """How the file is read, from its name; None when the ending says nothing."""
    name = path.name.lower().removesuffix(".gz")
    return FORMATS.get(os.path.splitext(name)[1])


def shown(path: Path) -> str:
    """The path as messages spell it: relative to the working directory when it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def file_at(path: Path) -> File:
    """The file with its format.

    Raises:
        DataError: neither its name nor its first bytes say how to read it.
    """
    form = format_of(path)
    if form is None:
        form = _sniff(path)
    return File(path, form, shown(path))


def _sniff(path: Path) -> str:
    """Format of a file whose name does not say it; only what the first bytes leave no doubt about."""
    with path.open("rb") as file:
        start = file.read(64)
    if start[:4] == b"PAR1":
        return "parquet"
    if start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        return "json"
    message, where = "the file's name does not say how to read it", shown(path)
    hint = f"name it with one of {READABLE} (also .gz)"
    raise fault(where, message, hint)
