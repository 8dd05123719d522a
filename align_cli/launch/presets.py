"""Shipped launch blocks: `configs/launch/NAME.yaml`, each the body of a `launch:` block below a line that says what."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.recipe import provenance, shipped


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """One shipped launch block."""

    name: str
    summary: str
    """The file's first comment."""
    path: Path
    body: Mapping[str, Any]
    """Words of the `launch:` block, not yet typed."""
    lines: Mapping[str, int]
    """Word -> its line in the file."""

    def place(self, word: str) -> str:
        """Where a word stands, for messages."""
        line = self.lines.get(word)
        return f"preset {self.name}:{line}" if line else f"preset {self.name}"


def names() -> list[str]:
    """Every preset's name, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def find(name: str) -> Path | None:
    """The file of a preset, named with or without `.yaml`; None when there is none of that name."""
    known = name.removesuffix(".yaml")
    return _folder() / f"{known}.yaml" if known in names() else None


def suggestion(name: str) -> str:
    """Near names, else how to see all of them."""
    near = difflib.get_close_matches(name, names(), n=2, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else "align launch ls lists them"


def read(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: there is none; near names are suggested.
    """
    path = find(name)
    if path is None:
        raise UsageError(f'there is no preset "{name}"', hint=suggestion(name))
    document = provenance.parse(path.read_text(encoding="utf-8"), path.stem)
    comment = next((line for line in document.text.splitlines() if line.startswith("#")), "")
    lines = {str(key[0]): place.line for key, place in document.places.items() if len(key) == 1}
    return Preset(name=path.stem, summary=comment.lstrip("# ").strip(), path=path, body=document.tree, lines=lines)


def _folder() -> Path:
    return shipped.root() / "launch"
