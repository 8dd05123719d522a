"""The evaluations of a run's model, in the story of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from align_cli.cli.render.page import count, heading, pairs
from align_cli.cli.signs import one_line


def evaluations(view: Mapping[str, Any]) -> list[RenderableType]:
    """Each benchmark with its score and interval; nothing where there are none."""
    rows = []
    for one in view.get("evaluations", ()):
        score = f"no {one['what']} yet" if not one["verdicts"] else f"no {one['what']}: its report says why"
        if one["score"] is not None:
            score = f"{one['score']:.2f}" if one["what"] == "score" else f"{one['what']} {one['score']:.2f}"
            score += f" ({one['low']:.2f} to {one['high']:.2f})" if one["low"] is not None else ""
            score += f", {count(one['verdicts'], 'verdict')}"
            score += f" of {one['judge']}" if one["judge"] else ""
        rows.append((one["benchmark"], one_line(score)))
    return [heading("Evaluations"), pairs(rows)] if rows else []
