"""Everything about one run as one document: what `align runs show` prints, of a run in any state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from align_cli.errors import Problem
from align_cli.runs import checkpoints
from align_cli.runs.reading import curves
from align_cli.runs.reading.record import Record, mapping, mappings, number, texts, whole
from align_cli.runs.reading.summary import shown

#: Facts of a manifest that have a place of their own in the document.
_PLACED = {
    "parameters", "dtypes", "trained_dtypes", "device", "chain", "steps", "epochs", "tokens", "resumed_from",
}  # fmt: skip
_MOST_FILES = 2000  # of a run that is not finished


def tell(record: Record) -> dict[str, Any]:
    """The document. Keys are always all there; what a run does not have (yet) is None or empty."""
    manifest = record.manifest or {}
    when = record.seconds_since_epoch
    sizes = list(record.files())
    document = {
        "run": str(record.path),
        "name": shown(record.path),
        "status": record.state,
        "resumes_from": _resumes_from(record),
        "task": record.task,
        "profile": manifest.get("profile") or record.document.get("profile") or "",
        "when": datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds") if when is not None else None,
        "bytes": sum(size for _, size in sizes),
        "published": manifest.get("published"),
        "recipe": recipe(record),
        "model": model(record),
        "data": data(record),
        "steps": steps(record),
        "metrics": results(record),
        "best_eval": best_evaluation(record),
        "logged": sorted({name for line in record.log.lines for name in line if name != "step"}),
        "time": timing(record),
        "checks": checks(record),
        "warnings": texts(manifest.get("warnings")) + texts(record.preparation.get("warnings")),
        "facts": {name: value for name, value in record.facts.items() if name not in _PLACED},
        "plan": record.plan,
        "versions": mapping(manifest.get("versions")),
        "host": mapping(manifest.get("host")),
        "files": files(record),
        "checkpoints": _checkpoints(record, sizes),
        "failures": record.failures,
    }
    document["problems"] = [problem_as_dict(problem) for problem in record.problems]
    return document


def recipe(record: Record) -> dict[str, Any]:
    """The recipe's chosen values, each with where it came from, and what the profile switched on."""
    found = record.recipe
    document = record.document
    values = found.values if found else mapping(document.get("values"))
    origins = found.origins if found else {}
    return {
        "path": found.path if found else str(document.get("path") or ""),
        "overrides": list(found.overrides) if found else texts(document.get("overrides")),
        "values": {key: {"value": value, "from": str(origins.get(key, ""))} for key, value in values.items()},
        "behaviours": dict(found.behaviours) if found else mapping(document.get("behaviours")),
        "notes": [str(note) for note in found.notes] if found else [],
        "sha256": mapping((record.manifest or {}).get("recipe")).get("sha256"),
    }


def model(record: Record) -> dict[str, Any]:
    """What the run started from, adapters included, and what was trained of it."""
    values = mapping(record.document.get("values"))
    return {
        "name": record.model,
        "revision": mapping((record.manifest or {}).get("model")).get("revision") or values.get("model_revision"),
        "chain": record.facts.get("chain"),
        "parameters": {name: whole(value) for name, value in mapping(record.facts.get("parameters")).items()},
        "dtypes": record.facts.get("dtypes"),
        "trained_dtypes": record.facts.get("trained_dtypes"),
        "device": record.facts.get("device") or record.plan.get("device"),
    }


def data(record: Record) -> dict[str, Any]:
    """Sources with their rows, and what the preparation counted."""
    report, mixture = record.preparation, record.mixture
    per_source = {str(entry.get("label")): entry for entry in mappings(report.get("per_source"))}
    told = ("label", "path", "for", "kind", "layout", "taken", "available", "kept", "share", "held_out", "dropped")
    sources = []
    for source in mappings(mixture.get("sources")):
        counted = per_source.get(str(source.get("label")), {}) if source.get("for", "train") == "train" else {}
        sources.append(
            {name: source.get(name) for name in told}
            | {"commit": mapping(source.get("identity")).get("commit")}
            | {name: whole(counted.get(name)) for name in ("tokens", "in_loss")}
            | {name: whole(source.get(name)) for name in ("available", "kept", "held_out")}
        )
    kept = ("rows", "sequences", "tokens", "lengths", "truncated", "dropped", "loss", "max_length", "packing", "unit")
    return {
        "digest": record.data_digest,
        "mixture": mixture.get("digest"),
        "sources": sources,
        **{name: report.get(name) for name in (*kept, "template", "tokenizer", "eos")},
    }


def steps(record: Record) -> dict[str, Any]:
    """Optimiser steps and epochs, done and planned, and where the last attempt began."""
    logged = [line for line in record.log.lines if number(line.get("epoch")) is not None]
    done = whole(record.facts.get("steps"))
    if done is None:
        done = max((line["step"] for line in record.log.lines), default=None)
    return {
        "done": done,
        "total": whole(record.plan.get("num_steps")),
        "epochs": record.facts.get("epochs") if record.facts else logged[-1]["epoch"] if logged else None,
        "global_batch_size": whole(record.plan.get("global_batch_size")),
        "resumed_from": record.facts.get("resumed_from"),
    }


def results(record: Record) -> dict[str, Any]:
    """The final metrics of a finished run; of another the last value of each that was logged."""
    final = mapping((record.manifest or {}).get("metrics"))
    if final:
        return final
    found: dict[str, Any] = {}
    for line in record.log.lines:
        found |= {name: value for name, value in line.items() if name != "step"}
    return found


def best_evaluation(record: Record) -> dict[str, Any] | None:
    """The lowest `eval_loss` and its step."""
    curve = curves.of("", record.log, "eval_loss")
    points = list(zip(curve.values, curve.steps, strict=True))
    if not points:
        return None
    value, step = min(points)
    return {"metric": "eval_loss", "value": value, "step": step}


def timing(record: Record) -> dict[str, Any]:
    """Seconds of training over all attempts, tokens trained on, and tokens a second.

    The trainer's own `train_runtime` is of the last attempt only, so a resumed run asks its last checkpoint.
    """
    tokens = number(record.facts.get("tokens"))
    seconds = number(results(record).get("train_runtime"))
    if record.facts.get("resumed_from") or not record.facts:
        state = mapping(checkpoints.state_in(record.last_checkpoint)) if record.last_checkpoint else {}
        tokens, seconds = number(state.get("tokens")), number(state.get("seconds"))
    if tokens is None:
        counted = [line["num_tokens"] for line in record.log.lines if number(line.get("num_tokens")) is not None]
        tokens = counted[-1] if counted else None
        seconds = None if not record.facts else seconds
    speed = tokens / seconds if tokens and seconds else None
    return {
        "seconds": seconds,
        "tokens": int(tokens) if tokens is not None else None,
        "tokens_per_second": round(speed, 1) if speed else None,
    }


def checks(record: Record) -> dict[str, Any]:
    """What was looked at before the first step: share in the loss, stop token, the first sample as rendered."""
    report = record.preparation
    return {
        "share_in_loss": mapping(report.get("tokens")).get("share_in_loss"),
        "stop_token": report.get("stop_token"),
        "findings": report.get("findings") or [],
        "sample": _sample(report.get("sample")),
    }


def _sample(value: Any) -> dict[str, Any] | None:
    """The first sample: `segments` of [text, whether it is in the loss]."""
    segments = mapping(value).get("segments")
    if not isinstance(segments, list):
        return None
    pairs = [part for part in segments if isinstance(part, list) and len(part) == 2]
    return {"segments": [[str(words), bool(in_loss)] for words, in_loss in pairs]} if pairs else None


def files(record: Record) -> list[dict[str, Any]]:
    """Files at the top of the run: as the manifest has them, else as they lie there, without digests."""
    listed = mapping((record.manifest or {}).get("files"))
    if listed:
        return [{"name": name, **mapping(entry)} for name, entry in listed.items()]
    try:
        found = sorted(child for child in record.path.iterdir() if child.is_file())[:_MOST_FILES]
        return [{"name": child.name, "bytes": child.stat().st_size, "sha256": None} for child in found]
    except OSError:
        return []


def problem_as_dict(problem: Problem) -> dict[str, str]:
    """As errors have them with `--json`."""
    return {"where": problem.where, "message": problem.message, "hint": problem.hint}


def _resumes_from(record: Record) -> str | None:
    if record.state in ("finished", "running") or record.last_checkpoint is None:
        return None
    return record.last_checkpoint.name


def _checkpoints(record: Record, sizes: list[tuple[str, int]]) -> list[dict[str, Any]]:
    found = []
    for folder in checkpoints.in_folder(record.path):
        size = sum(size for file, size in sizes if file.startswith(f"{folder}/"))
        whole = checkpoints.is_whole(folder)
        found.append({"name": folder.name, "step": checkpoints.step_of(folder), "bytes": size, "whole": whole})
    return found
