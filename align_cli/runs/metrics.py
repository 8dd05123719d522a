"""`align/metrics.jsonl`: one line per log of the trainer, the same whether or not the run was interrupted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from align_cli.files import write_text
from align_cli.runs.directory import OURS

FILE = "metrics.jsonl"
_SUMMARY = "train_runtime"  # the trainer's closing line: of one attempt, not of the run


class Metrics:
    """Appends lines; each is on its way to the disk before `write` returns."""

    def __init__(self, run_dir: Path, *, after_step: int) -> None:
        """Begin after `after_step`: what an earlier attempt logged later than its last checkpoint is logged anew."""
        self.path = run_dir / OURS / FILE
        kept = [line for line in read(run_dir) if line["step"] <= after_step and _SUMMARY not in line]
        if not after_step:
            kept = []
        write_text(self.path, "".join(_line(entry) for entry in kept))
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """One line: the step and what was logged at it."""
        self._file.write(_line({"step": step, **metrics}))
        self._file.flush()

    def close(self) -> None:
        """No more lines."""
        self._file.close()


class Log(NamedTuple):
    """What a metrics file holds."""

    lines: list[dict[str, Any]]
    """Each with its `step`; null values are kept: they were not finite."""
    unread: int
    """Lines that are no such thing; a last one that a crash cut short is not counted."""


def read(run_dir: Path) -> list[dict[str, Any]]:
    """All whole lines; a last one that a crash cut short is left out."""
    return load(run_dir).lines


def load(run_dir: Path) -> Log:
    """All whole lines, and how many could not be read; a run that has logged nothing has none of both.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        text = (run_dir / OURS / FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return Log([], 0)
    lines, unread = [], 0
    for line in text.split("\n"):
        if (entry := parse(line)) is not None:
            lines.append(entry)
        else:
            unread += 1
    return Log(lines, unread - 1)  # what follows the last line break: nothing, or a line cut short


def parse(line: str | bytes) -> dict[str, Any] | None:
    """One line of the file; None where it is no object with a step."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("step"), int) else None


def _line(entry: Mapping[str, Any]) -> str:
    # JSON has no NaN; null says "not a number" to every reader.
    def finite(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps({key: finite(value) for key, value in entry.items()}, ensure_ascii=False) + "\n"
