"""Which checkpoints of a run are whole, and what `align` keeps inside them.

The trainer writes a checkpoint file by file. `align.json` is written after all the others, so a checkpoint that a
crash has cut short has none, or names sizes that are not there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.files import write_json
from align_cli.recipe.schema import Recipe

MARKER = "align.json"
_NAME = re.compile(r"checkpoint-(\d+)")
_TRAINER_STATE = "trainer_state.json"


def step_of(checkpoint: Path) -> int:
    """The optimiser step a checkpoint was saved after; -1 where the name says none."""
    found = _NAME.fullmatch(checkpoint.name)
    return int(found[1]) if found else -1


def in_folder(folder: Path) -> list[Path]:
    """All checkpoint folders, whole or not, oldest step first."""
    if not folder.is_dir():
        return []
    return sorted((child for child in folder.iterdir() if _NAME.fullmatch(child.name) and child.is_dir()), key=step_of)


def seal(checkpoint: Path, state: Mapping[str, Any]) -> None:
    """Declare a checkpoint whole. `state` is what the next process needs beyond the trainer's own files."""
    sizes = {
        str(file.relative_to(checkpoint)): file.stat().st_size
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and file.name != MARKER
    }
    write_json(checkpoint / MARKER, {"state": dict(state), "files": sizes})


def state_in(checkpoint: Path) -> dict[str, Any] | None:
    """What `seal` was given; None for a checkpoint that something else saved."""
    document = _marker(checkpoint)
    return document["state"] if document else None


def is_whole(checkpoint: Path) -> bool:
    """Whether our marker is there and every file has the size it names."""
    document = _marker(checkpoint)
    if document is None:
        return False
    return all(
        (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size
        for name, size in document["files"].items()
    )


def last_whole(folder: Path) -> Path | None:
    """The newest checkpoint that can be resumed from."""
    return next((checkpoint for checkpoint in reversed(in_folder(folder)) if is_whole(checkpoint)), None)


def remove_torn(folder: Path) -> list[str]:
    """Delete what a crash left of unfinished checkpoints in a run of ours; the names of what went."""
    torn = [checkpoint for checkpoint in in_folder(folder) if not is_whole(checkpoint)]
    for checkpoint in torn:
        shutil.rmtree(checkpoint)
    return [checkpoint.name for checkpoint in torn]


def to_start_from(folder: Path, recipe: Recipe) -> Path | None:
    """Where a run begins: its own newest whole checkpoint, else the one that `resume_from_checkpoint` asks for.

    A checkpoint that the recipe names wins while it is the newer one. `true` accepts checkpoints of other tools.

    Raises:
        UsageError: the recipe names a checkpoint that is not there.
    """
    asked = recipe.values.get("resume_from_checkpoint")
    if asked is False:
        return None
    own = last_whole(folder)
    named: Path | None = None
    if asked is True and own is None:
        named = next((c for c in reversed(in_folder(folder)) if (c / _TRAINER_STATE).is_file()), None)
    elif isinstance(asked, str) and asked:
        named = Path(asked).expanduser()
        if not (named / _TRAINER_STATE).is_file():
            raise UsageError(
                f"resume_from_checkpoint: {asked} is not a checkpoint: it holds no {_TRAINER_STATE}",
                hint="name a checkpoint-NUMBER folder, or remove the key: an unfinished run resumes by itself",
            )
    if named is not None and (own is None or step_of(own) < step_of(named)):
        return named
    return own


def _marker(checkpoint: Path) -> dict[str, Any] | None:
    try:
        document = json.loads((checkpoint / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and {"state", "files"} <= document.keys() else None
