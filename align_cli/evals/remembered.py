"""Replies that judges have given to any evaluation on this machine: the same is not asked, and paid, twice.

A reply is found by everything that made it: the judge's model and endpoint, the messages, the parameters. Only replies
with a verdict are kept: what failed or cannot be read may come out better another time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.evals.asking.outcome import Outcome
from align_cli.evals.benchmark import Ask


def _folder() -> Path:
    return files.cache_root() / "replies"


def taken_over(found: Mapping[str, Any], key: str, why: str) -> Outcome:
    """A reply that is there already, for another request of the same content: it costs nothing.

    Raises:
        KeyError, TypeError: it is not whole.
    """
    attempt = {"status": None, "why": why, "seconds": 0.0, "waited": 0.0}
    return Outcome(
        key=key,
        state="ok",
        text=found["text"],
        reply=found["reply"],
        usage=dict(found["usage"]),
        cost=0.0,
        attempts=(attempt,),
    )


@dataclass(frozen=True, slots=True)
class Remembered:
    """The replies; a file each, so that any number of evaluations may read and write at a time."""

    folder: Path = field(default_factory=_folder)

    def find(self, ask: Ask, judge: Mapping[str, str], key: str) -> Outcome | None:
        """What the judge said to the same request, at no cost; None where it is not known, or damaged."""
        why = "another evaluation here has asked the same"
        try:
            return taken_over(files.read_json(self._place(ask, judge)), key, why)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):  # as good as none: it is asked for again
            return None

    def keep(self, ask: Ask, judge: Mapping[str, str], outcome: Outcome) -> None:
        """Remember a reply; where nothing can be written it is not: the evaluation has it all the same."""
        known: dict[str, Any] = {name: getattr(outcome, name) for name in ("text", "reply", "usage")}
        with suppress(OSError, UnicodeError):
            files.write_json(self._place(ask, judge), known)

    def _place(self, ask: Ask, judge: Mapping[str, str]) -> Path:
        digest = ask.request_key(judge)
        return self.folder / digest[:2] / f"{digest[2:34]}.json"
