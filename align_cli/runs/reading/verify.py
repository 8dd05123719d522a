"""Whether a finished run's files are what its manifest says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from align_cli.errors import Problem
from align_cli.files import digest_of_file
from align_cli.runs.directory import OURS, RECIPE
from align_cli.runs.reading.record import Record, mapping

Verdict = Literal["as it was", "changed", "missing", "unreadable", "new"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One file at the top of the run, or the resolved recipe."""

    name: str
    verdict: Verdict
    detail: str = ""

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong with it; a file that came later is not."""
        return self.verdict in ("as it was", "new")

    def as_problem(self) -> Problem:
        """What is wrong."""
        return Problem(": ".join(filter(None, (self.verdict, self.detail))), self.name)


def check(record: Record, *, digest: Callable[[Path], str] = digest_of_file) -> list[Checked]:
    """Compare size and sha256 of every file that the manifest lists, and name those that it does not.

    `digest` reads a file; the default reads all of it, whatever is remembered.
    """
    manifest = record.manifest or {}
    listed = mapping(manifest.get("files"))
    found = [_compare(record.path / name, name, mapping(entry), digest) for name, entry in listed.items()]
    expected = mapping(manifest.get("recipe")).get("sha256")
    if isinstance(expected, str):
        found.append(_recipe(record.path, expected))
    try:
        later = sorted(child.name for child in record.path.iterdir() if child.is_file() and child.name not in listed)
    except OSError:
        later = []
    return found + [Checked(name, "new", "came after the run had finished") for name in later]


def _compare(path: Path, name: str, entry: dict[str, object], digest: Callable[[Path], str]) -> Checked:
    try:
        size = path.stat().st_size
        if size != entry.get("bytes"):
            return Checked(name, "changed", f"it has {size:,} bytes, not {_grouped(entry.get('bytes'))}")
        if digest(path) != entry.get("sha256"):
            return Checked(name, "changed", "its content is another one")
    except FileNotFoundError:
        return Checked(name, "missing")
    except OSError as cause:
        return Checked(name, "unreadable", cause.strerror or str(cause))
    return Checked(name, "as it was")


def _grouped(size: object) -> str:
    return f"{size:,}" if isinstance(size, int) else str(size)


def _recipe(run: Path, expected: str) -> Checked:
    name = f"{OURS}/{RECIPE}"
    try:
        content = (run / OURS / RECIPE).read_bytes()
    except FileNotFoundError:
        return Checked(name, "missing")
    except OSError as cause:
        return Checked(name, "unreadable", cause.strerror or str(cause))
    if hashlib.sha256(content).hexdigest() != expected:
        return Checked(name, "changed", "its content is another one")
    return Checked(name, "as it was")
