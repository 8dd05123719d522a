"""Mixtures compared: with their lock, with what the store has, with one another."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.cli.mixing import mixed
from align_cli.errors import UsageError
from align_cli.recipe.schema import Recipe
from align_cli.tasks.task import Task

if TYPE_CHECKING:
    from align_cli.mix.build import Build

Say = Callable[[str], None]
_DIGEST = re.compile(r"[0-9a-f]{4,64}")


def lock_path(recipe: Recipe) -> Path:
    """Where the recipe's lock is: beside its file; for a shipped recipe in the working directory."""
    from align_cli.mix.store import lock

    path = Path(recipe.path or "recipe.yaml")
    return lock.path_of(path if path.is_file() or not recipe.path else Path(path.name))


def write_lock(recipe: Recipe, build: Build) -> dict[str, Any]:
    """Lock the mixture; gives {path, state}."""
    from align_cli.mix.store import lock

    path = lock_path(recipe)
    try:
        lock.write(path, build)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
    return {"path": str(path), "state": "written"}


def demand_inputs(recipe: Recipe, task: Task, say: Say) -> None:
    """Stop before any build when what would go into it is not what the lock says.

    Raises:
        UsageError: there is no lock.
        DataError: everything that drifted.
    """
    from align_cli.mix import build
    from align_cli.mix.store import lock

    path = lock_path(recipe)
    lock.read(path)  # first, because finding the inputs may take a while
    address = build.address(recipe.mixture, task.rows, measure=_measure(recipe, say))
    if refusal := lock.refusal(path, lock.drift_of_inputs(path, address.inputs)):
        raise refusal


def demand_rows(recipe: Recipe, build: Build) -> dict[str, Any]:
    """Stop when the finished mixture is not the locked one; gives {path, state}.

    Raises:
        DataError: everything that drifted.
    """
    from align_cli.mix.store import lock

    path = lock_path(recipe)
    same = lock.same_rows(path, build.report)
    if refusal := lock.refusal(path, lock.check(path, build.report), same_rows=same):
        raise refusal
    return {"path": str(path), "state": "holds"}


def explanation(recipe: Recipe, task: Task, say: Say) -> dict[str, Any]:
    """Whether mixture and tokens are in the store, and what differs from the most similar that are: {mixture, tokens}.

    `tokens` is null where no tokenizer is at hand; `why_no_tokens` says why.
    """
    from align_cli.mix import build
    from align_cli.mix.store import explain

    address = build.address(recipe.mixture, task.rows, measure=_measure(recipe, say))
    labels = [source.label for source in (*recipe.mixture.sources, *recipe.mixture.eval)]
    found = explain.explain(address.inputs, labels)
    tokens, why = _tokens(recipe, task, address.digest, say)
    return {"recipe": recipe.path, "mixture": found.as_dict(), "tokens": tokens, "why_no_tokens": why}


def _tokens(recipe: Recipe, task: Task, mixture: str, say: Say) -> tuple[dict[str, Any] | None, str]:
    from align_cli import files
    from align_cli.mix.store import explain
    from align_cli.tasks.preparing import tokens
    from align_cli.tasks.preparing.settings import choose

    if task.prepare is not None:
        return None, f"{task.name} prepares its rows in its own way"
    tokenizer, why = mixed.tokenizer_of(recipe, say)
    if tokenizer is None:
        return None, why
    inputs = tokens.inputs(mixture, choose(recipe, tokenizer, say=say), task.shape)
    return explain.explain_tokens(inputs, digest=files.digest_of(inputs)).as_dict(), ""


def _measure(recipe: Recipe, say: Say) -> Any:
    if not mixed.needs_tokenizer(recipe):
        return None
    return mixed.measure(recipe, mixed.tokenizer_of(recipe, say)[0], say)


def difference(a: str, b: str, task: str | None, say: Say) -> dict[str, Any]:
    """What differs between two mixtures, each a recipe, a digest of the store, an exported folder or a lock.

    The document of `mix.compare.compare`. A lock whose mixture is not in the store has no rows to compare: then
    `splits` has no more than the counts, `sources` and `examples` are empty, and `why_no_rows` says so.
    """
    from align_cli.mix.store import compare

    sides = [_side(name, task, say) for name in (a, b)]
    folders = [side.folder for side in sides]
    if folders[0] is not None and folders[1] is not None:
        found = compare.compare(folders[0], folders[1])
        found["why_no_rows"] = ""
    else:
        found = _of_documents(sides)
    for key, name in (("a", a), ("b", b)):
        found[key]["name"] = name
    return found


@dataclass(frozen=True)
class _Side:
    """One of two mixtures: its folder, or what its lock says."""

    folder: Path | None
    document: Mapping[str, Any]


def _side(name: str, task: str | None, say: Say) -> _Side:
    """The mixture that a word on the command line means."""
    from align_cli.mix.store import lock, store

    path = Path(name).expanduser()
    if path.is_dir():
        return _Side(path, {})
    if path.suffix == ".json" and path.is_file():
        locked = lock.read(path)
        return _Side(store.find(locked["digest"]), locked)
    if _DIGEST.fullmatch(name) and not path.exists():
        entry = store.matching(name)
        if entry.kind != "mixture":
            raise UsageError(f"{name} is no mixture but a {entry.kind}", hint="align cache ls --kind mixture")
        return _Side(entry.folder, {})
    recipe, chosen = mixed.load([name], task)
    mixed.demand_data(recipe, chosen)
    return _Side(mixed.make(recipe, chosen, tokens=False, engine=None, say=say).build.folder, {})


def _of_documents(sides: Sequence[_Side]) -> dict[str, Any]:
    """What differs by inputs, counts and digests alone."""
    from align_cli.mix.store import changes, store

    halves = []
    for side in sides:
        report = dict(side.document) or (store.report_of(side.folder) if side.folder else None) or {}
        if not all(key in report for key in ("digest", "inputs", "result")):
            raise UsageError(f"{side.folder}: there is no mixture in it", hint="it needs mixture.json and its rows")
        counts = report.get("counts") or {"train": report.get("num_train"), "eval": report.get("num_eval")}
        halves.append({**report, "counts": counts})
    a, b = halves
    found = [{**change._asdict(), "text": str(change)} for change in changes.between(a["inputs"], b["inputs"])]
    described = [
        {
            "folder": str(side.folder) if side.folder else None,
            "digest": half["digest"],
            "result": half["result"],
            "num_train": half["counts"]["train"],
            "num_eval": half["counts"]["eval"],
        }
        for side, half in zip(sides, halves, strict=True)
    ]
    return {
        "a": described[0],
        "b": described[1],
        "same": a["result"] == b["result"],
        "parameters": found,
        "splits": {split: {"a": a["counts"][split], "b": b["counts"][split]} for split in ("train", "eval")},
        "moved": {"train_to_eval": 0, "eval_to_train": 0},
        "sources": [],
        "examples": {"only_a": [], "only_b": []},
        "why_no_rows": "a locked mixture is not in the store, so its rows cannot be compared; align mix builds it",
    }
