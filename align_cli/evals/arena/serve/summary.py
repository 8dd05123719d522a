"""How far the raters are and what their votes come to, for whoever runs the arena."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from align_cli.evals.arena import chart, page, report, store, tables
from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.report import Report
from align_cli.evals.report.drawing import svg


class Summary:
    """The summary of one file of battles. It is computed when it is asked for, and again only after other votes."""

    def __init__(self, path: Path, answers: Any) -> None:
        self._path, self._answers = path, answers
        self._lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._document: dict[str, Any] = {}

    def document(self) -> dict[str, Any]:
        """Progress, and `report`: what `align eval arena report` makes of the same file; None without votes.

        Many votes take seconds: for a thread, not for the loop that takes votes.
        """
        with self._lock:
            version = store.version(self._path)
            if version != self._version:
                self._document, self._version = self._made(), version
            return self._document

    def _made(self) -> dict[str, Any]:
        found = store.battles(self._path)
        made = report.make(found, left_out={}) if found else None
        return {
            "mode": self._answers.origin,
            "file": str(self._path),
            "models": list(self._answers.models),
            "votes": len(found),
            "items": self._answers.num_items,
            "raters": _raters(found),
            "report": None if made is None else made.as_dict(),
            "page": None if made is None else _page(made),
        }


def _raters(battles: Sequence[Battle]) -> list[dict[str, Any]]:
    votes = Counter(battle.rater for battle in battles)
    last = {battle.rater: battle.tstamp for battle in sorted(battles, key=lambda one: one.tstamp)}
    return [{"name": name, "votes": count, "last": last[name]} for name, count in votes.most_common()]


def _page(made: Report) -> dict[str, Any]:
    """What `report.html` says first, for the page to draw: the same words, tables and drawing."""
    shown = (tables.ratings_table(made), tables.matrix_table(made), tables.close_table(made), tables.raters_table(made))
    return {
        "subtitle": page.subtitle_of(made),
        "notes": made.notes,
        "chart": svg(chart.drawn(made.ratings.models), is_alone=False),
        "tables": [asdict(table) for table in shown if table is not None],
        "facts": list(page.facts(made)),
    }
