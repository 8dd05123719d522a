"""Evaluation folders made out of other programs' files: where they go, and records written in one go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.errors import UsageError
from align_cli.evals.folder import slug
from align_cli.evals.records import line_of


def targets(into: Path, models: Iterable[str]) -> dict[str, Path]:
    """Where each model's folder will be.

    Raises:
        UsageError: one is there, two models would share one, or nothing can be written.
    """
    found: dict[str, Path] = {}
    for model in models:
        target = into / slug(model)
        if other := next((name for name, its in found.items() if its == target), None):
            raise UsageError(f"{target}: the models {other} and {model} would share this folder", hint="import one")
        found[model] = target
    if there := [str(target) for target in found.values() if target.exists()]:
        raise UsageError(f"{', '.join(there)}: already there", hint="name another folder, or take it away first")
    if reason := files.obstacle(into / "any"):
        raise UsageError(f"{into}: nothing can be written there: {reason}")
    return found


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """As `records.Journal` adds them, in one go; no file for none."""
    if lines := b"".join(map(line_of, records)):
        files.write_bytes(path, lines)
