"""One run directory read back, whatever state it is in: what is damaged is said, and the rest is still there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from align_cli.errors import Problem
from align_cli.recipe.schema import Recipe
from align_cli.runs import checkpoints, directory, metrics
from align_cli.runs.directory import MANIFEST, OURS, PLAN, PREPARATION, RECIPE

State = Literal["running", "finished", "failed", "interrupted", "prepared", "damaged"]
STATES: tuple[State, ...] = get_args(State)


class Record:
    """The files of a run, each read when it is first asked for.

    `problems` grows while they are read: one for each file that is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name or self.path.resolve().name

    @cached_property
    def state(self) -> State:
        """What has happened to the run, by which files exist.

        A manifest: finished (damaged, if it cannot be read). A held lock: running. Failure files: failed. A whole
        checkpoint or a logged step: interrupted. None of these: prepared.
        """
        if (self.path / OURS / MANIFEST).is_file():
            return "finished" if self.manifest is not None else "damaged"
        if directory.is_at_work(self.path):
            return "running"
        if self.failures:
            return "failed"
        if self.last_checkpoint is not None or self.has_logged:
            return "interrupted"
        return "prepared"

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """`manifest.json`; None before the run has finished."""
        return self._read(MANIFEST)

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The launch plan: processes, batch size, steps."""
        return mapping((self.manifest or {}).get("plan") or self._sealed.get("plan"))

    @property
    def data_digest(self) -> str | None:
        """Digest of the tokens trained on."""
        found = mapping((self.manifest or {}).get("data")).get("digest") or self._sealed.get("data_digest")
        return found if isinstance(found, str) else None

    @cached_property
    def _sealed(self) -> dict[str, Any]:
        return self._read(PLAN) or {}

    @cached_property
    def preparation(self) -> dict[str, Any]:
        """The report about the data, the mixture's included."""
        return mapping((self.manifest or {}).get("data") or self._read(PREPARATION))

    @cached_property
    def mixture(self) -> dict[str, Any]:
        """The mixture's report."""
        return mapping(self.preparation.get("mixture"))

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the task found out while it ran; empty before the run has finished."""
        return mapping((self.manifest or {}).get("facts"))

    @cached_property
    def document(self) -> dict[str, Any]:
        """`recipe.json` as it lies there; empty where it cannot be read."""
        return self._read(RECIPE) or {}

    @cached_property
    def recipe(self) -> Recipe | None:
        """The resolved recipe; None where this version cannot read it."""
        from align_cli.recipe.decode import decode

        if not self.document:
            return None
        try:
            found = decode(self.document)
            if not (isinstance(found.path, str) and isinstance(found.task, str) and isinstance(found.profile, str)):
                raise TypeError("path, task and profile are texts")
            if not (isinstance(found.values, Mapping) and isinstance(found.behaviours, Mapping)):
                raise TypeError("values and behaviours are objects")
            return found
        except (AttributeError, KeyError, TypeError, ValueError) as cause:
            self._complain(RECIPE, f"this version cannot read it ({type(cause).__name__}: {cause})")
            return None

    @property
    def task(self) -> str:
        """The task's name; empty where nobody knows."""
        return str((self.manifest or {}).get("task") or self.document.get("task") or "")

    @property
    def model(self) -> str:
        """What the run started from, as the recipe names it."""
        values = mapping(self.document.get("values"))
        return str(mapping((self.manifest or {}).get("model")).get("name") or values.get("model_name_or_path") or "")

    @cached_property
    def log(self) -> metrics.Log:
        """The metrics file."""
        try:
            log = metrics.load(self.path)
        except OSError as cause:
            self._complain(metrics.FILE, _reason(cause))
            return metrics.Log([], 0)
        if log.unread:
            self._complain(metrics.FILE, f"{log.unread} of its lines cannot be read")
        return log

    @property
    def has_logged(self) -> bool:
        """Whether a step was logged."""
        try:
            return (self.path / OURS / metrics.FILE).stat().st_size > 0
        except OSError:
            return False

    @cached_property
    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that can be resumed from."""
        try:
            return checkpoints.last_whole(self.path)
        except OSError:
            return None

    @cached_property
    def failures(self) -> list[dict[str, Any]]:
        """The failure files: `rank`, `type`, `message` and, where they were written, `hint` and `problems`."""
        found = []
        for file in sorted((self.path / OURS).glob("failure-*.json")):
            document = self._read(file.name)
            rank = file.stem.removeprefix("failure-")
            found.append({"rank": int(rank) if rank.isdecimal() else rank, **(document or {})})
        return found

    @cached_property
    def seconds_since_epoch(self) -> float | None:
        """When the run finished, or when something last happened to it."""
        from datetime import datetime

        finished = (self.manifest or {}).get("finished")
        if isinstance(finished, str):
            try:
                return datetime.fromisoformat(finished).timestamp()
            except ValueError:
                self._complain(MANIFEST, f'"{finished}" is no date')
        ours = self.path / OURS
        changed = [_changed(file) for file in (ours / metrics.FILE, ours / PLAN, *ours.glob("failure-*.json"))]
        return max((when for when in changed if when is not None), default=None)

    def files(self) -> Iterator[tuple[str, int]]:
        """The path of every file of the run with its size in bytes, checkpoints included; links are not followed."""
        waiting = [str(self.path)]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        else:
                            yield entry.path, entry.stat(follow_symlinks=False).st_size
            except OSError:  # gone meanwhile: a run that is going on rotates its checkpoints
                continue

    def _read(self, name: str) -> dict[str, Any] | None:
        """A JSON object of the run; None where there is none, or where it is damaged, which is noted."""
        try:
            document = json.loads((self.path / OURS / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as cause:
            self._complain(name, _reason(cause))
            return None
        if not isinstance(document, dict):
            self._complain(name, "it holds no JSON object")
            return None
        return document

    def _complain(self, name: str, message: str) -> None:
        problem = Problem(f"damaged: {message}", str(self.path / OURS / name))
        if problem not in self.problems:
            self.problems.append(problem)


def number(value: Any) -> float | None:
    """`value` where it is a number, as files of unknown origin may hold anything."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole(value: Any) -> int | None:
    """`value` where it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def mapping(value: Any) -> dict[str, Any]:
    """`value` where it is an object, else an empty one."""
    return dict(value) if isinstance(value, Mapping) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects in `value`, where it is a list."""
    return [dict(item) for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def texts(value: Any) -> list[str]:
    """The items of `value` as text, where it is a list."""
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


def _reason(cause: Exception) -> str:
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    if isinstance(cause, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(cause, json.JSONDecodeError):
        return f"it is not JSON ({cause.msg}, line {cause.lineno})"
    return "it is not JSON"


def _changed(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None
