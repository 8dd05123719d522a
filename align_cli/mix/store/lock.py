"""The lock of a mixture: a JSON file beside the recipe, fit for git, of what went in, how many rows, and their digests.

`drift_of_inputs` compares before a build, in no time; `check` compares a finished one. The file holds no date and no
absolute path: paths are relative to its own folder. What a source is called is kept for people and never compared.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli import files
from align_cli.errors import DataError, Problem, UsageError
from align_cli.mix.store import changes

if TYPE_CHECKING:
    from align_cli.mix.build import Build

#: Of the file's form. Raised when an older `align` would misread it.
VERSION = 1
_COUNTS = ("read", "available", "unique", "kept", "held_out", "tokens")
_WRITE = "write it again: align mix RECIPE --lock"


class Drift(NamedTuple):
    """One thing that is not as the lock says. `locked` and `now` are JSON values."""

    what: str
    locked: Any
    now: Any
    text: str
    """All of it in a sentence."""
    decides: bool = True
    """False for `align`'s own version: it fails a check only when the rows differ, too."""

    def __str__(self) -> str:
        return self.text


def path_of(recipe: Path) -> Path:
    """Where the lock of a recipe is: STEM.mixture.json beside it."""
    return recipe.with_name(f"{recipe.stem}.mixture.json")


def write(path: Path, build: Build, inputs: Mapping[str, Any] | None = None) -> None:
    """Lock a finished mixture. `inputs` are those of `identity.inputs` with today's names; else the build's own."""
    files.write_json(path, document(build.report, inputs or build.report["inputs"], path.parent))


def document(report: Mapping[str, Any], inputs: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What the lock in this folder holds; equal mixtures give equal documents."""
    shown = _relative(inputs["shown"], folder)
    return {
        "about": "What this mixture is made of; written by align mix --lock, compared by align mix --locked.",
        "version": VERSION,
        "digest": report["digest"],
        "inputs": {"digest_of": inputs["digest_of"], "shown": shown},
        "counts": _counts(report, _labels(shown)),
        "result": dict(report["result"]),
    }


def read(path: Path) -> dict[str, Any]:
    """The lock in this file.

    Raises:
        UsageError: there is no such file.
        DataError: it is damaged, or a newer version wrote it.
    """
    try:
        locked = files.read_json(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no lock yet", hint="write one: align mix RECIPE --lock") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or f"it is not JSON ({error})"
        raise _useless(path, f"the lock cannot be read: {reason}", _WRITE) from None
    version = locked.get("version") if isinstance(locked, dict) else None
    if isinstance(version, int) and version > VERSION:
        message = f"a newer align wrote this lock (version {version}; this one reads up to {VERSION})"
        raise _useless(path, message, "update align: pip install -U align-cli")
    if version != VERSION or not _is_complete(locked):
        raise _useless(path, "this is not a lock of a mixture, or parts of it are missing", _WRITE)
    return dict(locked)


def drift_of_inputs(path: Path, inputs: Mapping[str, Any]) -> list[Drift]:
    """What went into the lock and is not what would go into a build now; nothing is built.

    Raises:
        UsageError, DataError: as `read`.
    """
    return _of_inputs(path, read(path), inputs)


def check(path: Path, report: Mapping[str, Any]) -> list[Drift]:
    """What of a finished mixture, by its report, is not as the lock says: inputs, counts, rows.

    Raises:
        UsageError, DataError: as `read`.
    """
    locked = read(path)
    drifts = _of_inputs(path, locked, report["inputs"])
    shown = _relative(report["inputs"]["shown"], path.parent)
    counts = _counts(report, _labels(shown))
    for name in ("train", "eval"):
        drifts += _of_value(f"rows of {name}", locked["counts"][name], counts[name])
    drifts += _of_counts(locked["counts"]["sources"], counts["sources"], same_sources=not drifts)
    for name in sorted({*locked["result"], *report["result"]}):
        was, is_ = locked["result"].get(name), report["result"].get(name)
        drifts += _of_value(f"content of {name}", was, is_)
    return drifts


def same_rows(path: Path, report: Mapping[str, Any]) -> bool:
    """Whether the mixture's rows and their order are the locked ones, byte for byte, whatever else drifted."""
    return bool(read(path)["result"] == dict(report["result"]))


def refusal(path: Path, drifts: Sequence[Drift], *, same_rows: bool | None = None) -> DataError | None:
    """The error for what drifted; None when nothing did that decides. `same_rows` is None before a build."""
    deciding = [drift for drift in drifts if drift.decides or same_rows is False]
    if not deciding:
        return None
    hint = f"put it back, or accept it and {_WRITE}"
    if same_rows:
        hint = f"the rows and their order are still the locked ones, byte for byte; {_WRITE}"
    problems = [Problem(str(drift)) for drift in drifts]
    return DataError(f"the mixture is not the one that {path} locks", hint=hint, problems=problems)


def _of_inputs(path: Path, locked: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[Drift]:
    now = {"digest_of": inputs["digest_of"], "shown": _relative(inputs["shown"], path.parent)}
    try:
        found = changes.between(locked["inputs"], now)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise _useless(path, "what the lock says of the sources cannot be read", _WRITE) from None
    return [Drift(one.what, one.before, one.now, str(one), decides=not one.is_code) for one in found]


def _of_counts(
    locked: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], *, same_sources: bool
) -> list[Drift]:
    """Counts of sources that both have; what was added or removed is in the inputs' drift."""
    drifts = []
    pairs: list[tuple[int | None, int | None]] = [(number, number) for number in range(len(now))]
    if not same_sources or len(locked) != len(now):
        pairs = changes.paired(locked, now, (lambda one: str(one.get("label")),))
    for old, new in pairs:
        if old is None or new is None:
            continue
        was, is_ = locked[old], now[new]
        for name in dict.fromkeys((*was, *is_)):
            if name == "dropped":
                for reason in sorted({*was.get(name, {}), *is_.get(name, {})}):
                    ends = was.get(name, {}).get(reason, 0), is_.get(name, {}).get(reason, 0)
                    drifts += _of_value(f"{is_['label']}: rows dropped, {reason}", *ends)
            elif name != "label":
                drifts += _of_value(f"{is_['label']}: rows {name}", was.get(name), is_.get(name))
    return drifts


def _of_value(what: str, locked: Any, now: Any) -> list[Drift]:
    if locked == now:
        return []
    ends = [f"{end:,}" if isinstance(end, int) else changes.said(end) for end in (locked, now)]
    return [Drift(what, locked, now, f"{what}: {ends[0]} -> {ends[1]}")]


def _labels(shown: Mapping[str, Any]) -> list[str]:
    return [entry["label"] for role in ("sources", "eval") for entry in shown[role]]


def _counts(report: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    sources = []
    for label, source in zip(labels, report["sources"], strict=True):
        numbers = {name: source[name] for name in _COUNTS if source.get(name) is not None}
        sources.append({"label": label, **numbers, "dropped": dict(sorted(source.get("dropped", {}).items()))})
    return {"train": report["num_train"], "eval": report["num_eval"], "sources": sources}


def _relative(shown: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Names and paths as seen from the lock's folder, so that every checkout writes the same."""
    relative: dict[str, Any] = {}
    for role in ("sources", "eval"):
        relative[role] = []
        for entry in shown.get(role, ()):
            path = _from(folder, entry["path"])
            label = str(entry["label"])
            if label.startswith(entry["path"]):
                label = path + label.removeprefix(entry["path"])
            relative[role].append({**entry, "label": label, "path": path})
    references = {_from(folder, name): value for name, value in shown.get("references", {}).items()}
    return {"references": dict(sorted(references.items())), **relative}


def _from(folder: Path, path: str) -> str:
    """A path of this machine as seen from the folder; Hub ids, packages and patterns of neither stay as they are."""
    here = Path(path).expanduser()
    if "://" in path or not path or not os.path.exists(Path(*_without_marks(here))):
        name, colon, column = path.rpartition(":")  # as `clean.decontaminate` names a column of a file
        return f"{_from(folder, name)}:{column}" if colon and Path(name).is_file() else path
    return Path(os.path.relpath(here.absolute(), folder.absolute())).as_posix()


def _without_marks(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        if any(mark in part for mark in "*?["):
            break
        parts.append(part)
    return parts


def _is_complete(locked: Mapping[str, Any]) -> bool:
    shape = {"digest": str, "inputs": dict, "counts": dict, "result": dict}
    if not all(isinstance(locked.get(name), kind) for name, kind in shape.items()):
        return False
    counts, inputs = locked["counts"], locked["inputs"]
    return (
        all(isinstance(counts.get(name), int) for name in ("train", "eval"))
        and isinstance(counts.get("sources"), list)
        and all(isinstance(one, dict) for one in counts["sources"])
        and all(isinstance(inputs.get(half), dict) for half in ("digest_of", "shown"))
    )


def _useless(path: Path, message: str, hint: str) -> DataError:
    return DataError("the lock cannot be used", problems=[Problem(message, str(path), hint)])
