"""alpaca_eval's files, read and written: `results/MODEL/model_outputs.json`, `…/ANNOTATOR/annotations.json`.

As alpaca_eval 0.6.6 has them, to the order of the fields; files of earlier versions are read too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from align_cli.evals import folder
from align_cli.evals.alpacaeval.original.exporting import export_original
from align_cli.evals.alpacaeval.original.importing import import_original
from align_cli.evals.alpacaeval.versions import Version
from align_cli.evals.benchmark import Format

__all__ = ["export_original", "format_of", "import_original"]


def format_of(version: Version) -> Format:
    """The files of one version of the benchmark: they do not say themselves which one they are of."""
    return Format(
        name="alpaca_eval",
        about="folders as in alpaca_eval's results/, or model_outputs.json and annotations.json themselves",
        read=partial(_read, version),
        write=partial(_write, version),
    )


def _read(version: Version, places: Sequence[Path], into: Path, model: str | None) -> list[Path]:
    return [one.path for one in import_original(version, places, into, model)]


def _write(version: Version, evaluations: Sequence[Path], to: Path) -> list[Path]:
    return export_original(version, [folder.of(path) for path in evaluations], to)
