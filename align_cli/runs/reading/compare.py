"""What differs between two runs, whatever state they are in: inputs, circumstances, and results side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from align_cli.recipe.schema import Recipe
from align_cli.runs import identity
from align_cli.runs.reading import story
from align_cli.runs.reading.curves import is_clock
from align_cli.runs.reading.record import Record, mapping, mappings, number

#: Keys that say where a run lies, not what it is.
_PLACES = frozenset({"output_dir", "run_name"})
#: These first, then the rest by name.
_FIRST = ("train_loss", "eval_loss", "loss", "eval_rewards/accuracies", "eval_rewards/margins")
#: Metrics that count or time instead of measuring.
_COUNTS = frozenset({"epoch", "train_samples", "eval_samples", "num_tokens", "eval_num_tokens", "learning_rate"})


def compare(a: Record, b: Record) -> dict[str, Any]:
    """The document of `align runs diff`.

    In every section but `results`, only what differs: {"key", "a", "b"}; what one run does not know yet is not called
    different. `results` has every metric of either run with `difference` (b - a) and `relative` (to |a|), None where
    there is none; nor is there a share between different tasks, whose losses measure different things. `same` says
    whether recipe, data and model are, but for keys that change no step.
    """
    finished = a.manifest is not None and b.manifest is not None
    sections = {
        "recipe": _recipe(a, b),
        "profile": _differing({"profile": _profile(a)} | _behaviours(a), {"profile": _profile(b)} | _behaviours(b)),
        "mixture": _mixture(a.recipe, b.recipe),
        "data": _differing(_data(a), _data(b)) if a.preparation and b.preparation else [],
        "sources": _sources(a, b),
        "model": _differing(_model(a, finished), _model(b, finished)),
    }
    known = a.recipe is not None and b.recipe is not None
    decisive = [entry for section in sections.values() for entry in section if not entry.get("free")]
    return {
        "a": _side(a),
        "b": _side(b),
        "same": known and a.task == b.task and not decisive,
        **sections,
        "steps": _differing(story.steps(a), story.steps(b)),
        "time": _differing(story.timing(a), story.timing(b)) if finished else [],
        "versions": _differing(_of_manifest(a, "versions"), _of_manifest(b, "versions")) if finished else [],
        "host": _differing(_host(a, finished), _host(b, finished)),
        "results": _results(a, b),
        "problems": [story.problem_as_dict(problem) for record in (a, b) for problem in record.problems],
    }


def _side(record: Record) -> dict[str, Any]:
    return {"run": str(record.path), "status": record.state, "task": record.task}


def _recipe(a: Record, b: Record) -> list[dict[str, Any]]:
    """Keys whose value in force differs, with where each side has it from; `free`: a run may go on with another."""
    if a.recipe is None or b.recipe is None:
        old, new = (mapping(record.document.get("values")) for record in (a, b))
        changes = [(entry["key"], entry["a"], entry["b"]) for entry in _differing(old, new)]
    else:
        changes = identity.changed(a.recipe, b.recipe)
    return [
        {
            "key": key,
            "a": before,
            "b": now,
            "a_from": _origin(a.recipe, key),
            "b_from": _origin(b.recipe, key),
            "free": identity.is_free(key),
        }
        for key, before, now in changes
        if key not in _PLACES
    ]


def _origin(recipe: Recipe | None, key: str) -> str:
    if recipe is None:
        return ""
    return str(recipe.origins[key]) if key in recipe.origins else "default" if key in recipe.defaults else ""


def _mixture(a: Recipe | None, b: Recipe | None) -> list[dict[str, Any]]:
    if a is None or b is None:
        return []
    changes = identity.flat_changes(asdict(a.mixture), asdict(b.mixture), "mixture")
    return [{"key": key, "a": before, "b": now} for key, before, now in changes]


def _profile(record: Record) -> str:
    return str((record.manifest or {}).get("profile") or record.document.get("profile") or "")


def _behaviours(record: Record) -> dict[str, Any]:
    return mapping(record.document.get("behaviours"))


def _data(record: Record) -> dict[str, Any]:
    report = record.preparation
    found = {"mixture digest": record.mixture.get("digest"), "data digest": record.data_digest}
    for name in ("rows", "sequences", "tokens"):
        found |= {f"{name}.{key}": value for key, value in mapping(report.get(name)).items()}
    for name in ("loss", "max_length", "truncated", "eos", "tokenizer"):
        found[name] = report.get(name)
    found["template"] = mapping(report.get("template")).get("digest")
    return found


def _sources(a: Record, b: Record) -> list[dict[str, Any]]:
    """Sources by label, with the rows and tokens that each run has of them."""
    sides = [_by_label(record) for record in (a, b)]
    return [
        {"key": label, "a": sides[0].get(label), "b": sides[1].get(label)}
        for label in dict.fromkeys([*sides[0], *sides[1]])
        if sides[0].get(label) != sides[1].get(label)
    ]


def _by_label(record: Record) -> dict[str, dict[str, Any]]:
    told = mappings(story.data(record)["sources"])
    return {
        " ".join((str(source["label"]), "" if source["for"] == "train" else f"({source['for']})")).strip(): {
            name: source[name] for name in ("kept", "available", "tokens", "commit")
        }
        for source in told
    }


def _model(record: Record, finished: bool) -> dict[str, Any]:
    """What was started from; once both have finished, also what was made of it."""
    told = story.model(record)
    if not finished:
        return {name: told[name] for name in ("name", "revision")}
    parameters = {f"{name} parameters": value for name, value in mapping(told["parameters"]).items()}
    dtypes = {name: list(mapping(told[name])) for name in ("dtypes", "trained_dtypes")}
    return {name: told[name] for name in ("name", "revision", "chain")} | parameters | dtypes


def _of_manifest(record: Record, key: str) -> dict[str, Any]:
    return mapping((record.manifest or {}).get(key))


def _host(record: Record, finished: bool) -> dict[str, Any]:
    planned = {name: record.plan.get(name) for name in ("kind", "device", "precision", "num_processes")}
    return planned | ({"gpus": []} | _of_manifest(record, "host") if finished else {})


def _results(a: Record, b: Record) -> list[dict[str, Any]]:
    old, new = (_metrics(record) for record in (a, b))
    comparable = a.task == b.task
    names = sorted({*old, *new}, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    found = []
    for name in names:
        before, now = old.get(name), new.get(name)
        difference = now - before if before is not None and now is not None else None
        relative = difference / abs(before) if difference is not None and before and comparable else None
        found.append({"metric": name, "a": before, "b": now, "difference": difference, "relative": relative})
    return found


def _metrics(record: Record) -> dict[str, float]:
    found = {
        name: value
        for name, entry in story.results(record).items()
        if (value := number(entry)) is not None and name not in _COUNTS and not is_clock(name)
    }
    if best := story.best_evaluation(record):
        found["best eval_loss"] = best["value"]
    return found


def _differing(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    names = dict.fromkeys([*a, *b])
    return [{"key": name, "a": a.get(name), "b": b.get(name)} for name in names if a.get(name) != b.get(name)]
