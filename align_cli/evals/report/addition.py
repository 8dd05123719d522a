"""What a benchmark's report says beyond the mean scores: its own figures, tables and drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from align_cli.evals.benchmark import Reference
from align_cli.evals.report.drawing import Drawing
from align_cli.evals.report.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline:
    """The figure that a model is ranked by where the benchmark is published."""

    name: str
    """As the benchmark's publications call it."""
    value: float | None
    """None where it cannot be computed; a note says why."""
    low: float | None = None
    high: float | None = None
    """95 %."""

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {"name": self.name, "value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, kw_only=True, slots=True)
class Addition:
    """Made by `Benchmark.addition`; everything by model is keyed by the model's name in the report."""

    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For `report.json`: names and values as the benchmark's own files have them."""
    headlines: Mapping[str, Headline] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    drawings: Sequence[Drawing] = ()
    reference: Reference | None = None
    """What each answer is held against, where a score says how far it is preferred to that: the middle of the scale is
    a draw. Questions whose reference answer cannot be had are missing from it."""
    notes: Sequence[str] = ()
    """Sentences that a reader has to know."""
