"""What a folder of the cache holds, as its own files say: whether it is whole, how large, what it was made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from align_cli import files
from align_cli.mix.store import folders

Kind = Literal["mixture", "tokens", "model", "tokenizer", "reference"]

REPORT = "mixture.json"
#: What models' folders say of how they came about: `models.finding.places` and `models.adapters.merging` write them.
_CONVERTED, _MERGED = "align/made_of.json", "align/merged.json"
#: How an Arrow stream that was written to its end ends.
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One thing in the cache that can be made again."""

    kind: Kind
    digest: str
    folder: Path
    bytes: int
    made: float
    """Seconds since 1970."""
    labels: tuple[str, ...] = ()
    """What it was made of: sources, a GGUF file, adapters and their base; else a model's kind."""
    holds: str = ""
    """The kind of its rows, or of the model."""
    rows: int | None = None
    """Training rows."""
    eval_rows: int | None = None
    problem: str = ""
    """Why it is no use; empty when it is."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "folder": str(self.folder), "labels": list(self.labels)}


def entry_of(kind: Kind, folder: Path) -> Entry:
    """The entry of a finished folder, however little it says."""
    describe = {
        "mixture": _mixture,
        "tokens": _tokens,
        "model": _model,
        "tokenizer": _model,
        "reference": _reference,
    }[kind]
    try:
        said = describe(folder)
    except (KeyError, TypeError, ValueError, AttributeError):  # written by another version
        said = {"problem": "it was made by another version and cannot be described"}
    return Entry(
        kind=kind,
        digest=folder.name,
        folder=folder,
        bytes=folders.size(folder),
        made=made(folder),
        **said,
    )


def with_labels(entry: Entry, labels: Mapping[str, tuple[str, ...]]) -> Entry:
    """The entry; of tokens whose report names no sources: with those of the mixture that they were made of."""
    if entry.kind != "tokens" or entry.labels:
        return entry
    made_of = _json(entry.folder / "inputs.json") or {}
    mixture = made_of.get("mixture")
    mine = labels.get(mixture, ()) if isinstance(mixture, str) else ()
    return replace(entry, labels=mine)


def is_whole(folder: Path) -> bool:
    """Whether the mixture in this folder is complete: a report that can be read, and streams that have their end."""
    streams = [folder / "train.arrow", *(path for path in (folder / "eval.arrow",) if path.exists())]
    return report_of(folder) is not None and all(_has_end(stream) for stream in streams)


def report_of(folder: Path) -> dict[str, Any] | None:
    """The mixture's report; None when there is none that can be read."""
    try:
        report = files.read_json(folder / REPORT)
    except (OSError, ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


def made(folder: Path) -> float:
    """When the folder was made, in seconds since 1970; 0 when it is gone."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _mixture(folder: Path) -> dict[str, Any]:
    report = report_of(folder)
    if report is None:
        return {"problem": f"its {REPORT} cannot be read; it is built again when it is needed"}
    if not is_whole(folder):
        return {"problem": "a file of it is missing or cut off; it is built again when it is needed"}
    return {
        "labels": tuple(str(source["label"]) for source in report.get("sources", ())),
        "holds": str(report.get("kind", "")),
        "rows": report.get("num_train"),
        "eval_rows": report.get("num_eval"),
    }


def _tokens(folder: Path) -> dict[str, Any]:
    report = _json(folder / "report.json")
    if report is None:
        return {"problem": "its report.json cannot be read"}
    rows = report.get("rows", {})
    tokenizer = os.path.basename(str(report.get("tokenizer", "")))
    return {
        "labels": tuple(str(source["label"]) for source in report.get("per_source", ()) if "label" in source),
        "holds": f"tokens of {tokenizer[:16]}" if tokenizer else "tokens",
        "rows": rows.get("train"),
        "eval_rows": rows.get("eval"),
    }


def _model(folder: Path) -> dict[str, Any]:
    """Older conversions do not say what they were made of: then its name for itself, or its measures."""
    config = _json(folder / "config.json") or _json(folder / "tokenizer_config.json") or {}
    name = str(config.get("model_type") or config.get("tokenizer_class") or "")
    origin = os.path.basename(str(config.get("_name_or_path") or config.get("_model_name_or_path") or ""))
    layers, width = (config.get(key) for key in ("num_hidden_layers", "hidden_size"))
    measures = f"{name}, {layers} layers, width {width}" if layers and width else name
    made_of = str((_json(folder / _CONVERTED) or {}).get("gguf") or "")
    if merged := _json(folder / _MERGED):
        chain = merged["chain"]
        made_of = f"{' + '.join(str(one['name']) for one in chain['adapters'])} on {chain['base']['name']}"
    return {"holds": name, "labels": tuple(label for label in (made_of, origin, measures) if label)[:1]}


def _reference(folder: Path) -> dict[str, Any]:
    made_of = _json(folder / "inputs.json")
    if made_of is None:
        return {"problem": "its inputs.json cannot be read"}
    which = {"train": "rows", "eval": "eval_rows"}[made_of["split"]]
    label = f"model {made_of['model'][:12]}"
    return {"holds": "log-probabilities", "labels": (label,), which: made_of["rows"]}


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = files.read_json(path)
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _has_end(stream: Path) -> bool:
    try:
        with stream.open("rb") as file:
            file.seek(-len(_END_OF_STREAM), os.SEEK_END)
            return file.read() == _END_OF_STREAM
    except OSError:
        return False
