"""`align/metrics.jsonl`: one line per log of the trainer, the same whether or not the run was interrupted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def read(run_dir: Path) -> list[dict[str, Any]]:
    """All whole lines; a last one that a crash cut short is left out."""
    try:
        text = (run_dir / OURS / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def _line(entry: Mapping[str, Any]) -> str:
    # JSON has no NaN; null says "not a number" to every reader.
    def finite(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps({key: finite(value) for key, value in entry.items()}, ensure_ascii=False) + "\n"
