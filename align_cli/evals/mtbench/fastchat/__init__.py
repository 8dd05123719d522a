"""FastChat's files, read and written: `model_answer/MODEL.jsonl`, `model_judgment/JUDGE_single.jsonl`, `…_pair.jsonl`.

As FastChat @0e6d3e4 fastchat/llm_judge has them, to the order of the fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from align_cli.evals import folder
from align_cli.evals.benchmark import Format
from align_cli.evals.mtbench.fastchat.exporting import export_fastchat
from align_cli.evals.mtbench.fastchat.importing import import_fastchat

__all__ = ["FORMAT", "export_fastchat", "import_fastchat"]


def _read(places: Sequence[Path], into: Path, model: str | None) -> list[Path]:
    return [one.path for one in import_fastchat(places, into, model)]


def _write(evaluations: Sequence[Path], to: Path) -> list[Path]:
    return export_fastchat([folder.of(path) for path in evaluations], to)


FORMAT = Format(
    name="fastchat",
    about="folders with model_answer/ and model_judgment/, or such files",
    read=_read,
    write=_write,
)
