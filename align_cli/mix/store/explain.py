"""Whether the store will be hit, and if not, which input differs from those of the most similar thing there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.mix.store import changes, folders, identity, store
from align_cli.mix.store.changes import Change

__all__ = ["Change", "Explanation", "explain", "explain_tokens"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What becomes of a build."""

    hit: bool
    """Nothing has to be built."""
    digest: str
    """Address of what is wanted."""
    nearest: str | None
    """What is stored and most like it: the thing itself on a hit; None when nothing is like it."""
    changes: tuple[Change, ...] = ()
    """From the nearest to what is wanted."""
    unknown: int = 0
    """Stored things that do not say what they were made of: older versions made them."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it; `text` is each change as a sentence."""
        return {
            "hit": self.hit,
            "digest": self.digest,
            "nearest": self.nearest,
            "changes": [{**change._asdict(), "text": str(change)} for change in self.changes],
            "unknown": self.unknown,
        }


@dataclass(frozen=True, slots=True)
class _Candidate:
    digest: str
    inputs: Mapping[str, Any]
    made: float


def explain(inputs: Mapping[str, Any], labels: Sequence[str] | None = None) -> Explanation:
    """Compare a mixture's inputs (`identity.inputs`) with those of every stored mixture.

    `labels` are what the sources are called now, the evaluation sources last; without them, as the inputs say.
    """
    inputs = _relabelled(inputs, labels)
    digest = identity.digest_of_inputs(inputs)
    if store.find(digest):
        return Explanation(hit=True, digest=digest, nearest=digest)
    candidates, unknown = _candidates(
        [entry.folder for entry in store.stored()], lambda folder: (store.report_of(folder) or {}).get("inputs")
    )
    return _nearest(digest, inputs, candidates, unknown, changes.between, _things)


def explain_tokens(inputs: Mapping[str, Any], *, digest: str) -> Explanation:
    """The same for tokens: `inputs` is the document that `tasks.preparing` keeps as inputs.json beside them."""
    parent = files.cache_root() / "tokens"
    listed = folders.listed(parent)
    for folder in listed:
        if digest.startswith(folder.name) and (folder / "report.json").is_file():
            return Explanation(hit=True, digest=digest, nearest=folder.name)
    candidates, unknown = _candidates(listed, lambda folder: files.read_json(folder / "inputs.json"))
    return _nearest(digest, inputs, candidates, unknown, _between_tokens, _leaves)


def _between_tokens(before: Any, now: Any) -> list[Change]:
    """Leaf by leaf; a digest is told only when nothing beside it says what changed."""
    found = changes.between_trees(before, now)
    parents = [change.what.rpartition(".")[0] for change in found if not change.what.endswith(".digest")]
    told = {parent for one in parents for parent in (one, *_above(one))}
    return [one for one in found if not one.what.endswith(".digest") or one.what.removesuffix(".digest") not in told]


def _above(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:number]) for number in range(1, len(parts))]


def _relabelled(inputs: Mapping[str, Any], labels: Sequence[str] | None) -> Mapping[str, Any]:
    if labels is None:
        return inputs
    shown = dict(inputs["shown"])
    left = list(labels)
    for role in ("sources", "eval"):
        mine, left = left[: len(shown[role])], left[len(shown[role]) :]
        shown[role] = [{**entry, "label": label} for entry, label in zip(shown[role], mine, strict=True)]
    return {**inputs, "shown": shown}


def _candidates(listed: Sequence[Path], read: Callable[[Path], Any]) -> tuple[list[_Candidate], int]:
    """What is stored with its inputs, and how much says nothing of them."""
    found = []
    for folder in listed:
        try:
            inputs = read(folder)
            made = folder.stat().st_mtime
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(inputs, Mapping):
            found.append(_Candidate(folder.name, inputs, made))
    return found, len(listed) - len(found)


def _nearest(
    digest: str,
    inputs: Mapping[str, Any],
    candidates: Sequence[_Candidate],
    unknown: int,
    differences: Callable[[Any, Any], list[Change]],
    things: Callable[[Any], tuple[frozenset[Any], frozenset[Any]]],
) -> Explanation:
    """The candidate with most content in common, then most names, then fewest changes, then the newest."""
    mine = things(inputs)
    best: tuple[Any, _Candidate, list[Change]] | None = None
    for candidate in candidates:
        try:
            theirs = things(candidate.inputs)
            found = differences(candidate.inputs, inputs)
        except (KeyError, TypeError, AttributeError, ValueError):  # another version's document
            unknown += 1
            continue
        same = [len(one & other) for one, other in zip(mine, theirs, strict=True)]
        rank = (same[0], same[1], -len(found), candidate.made)
        if any(same) and (best is None or rank > best[0]):
            best = (rank, candidate, found)
    if best is None:
        return Explanation(hit=False, digest=digest, nearest=None, unknown=unknown)
    _, candidate, found = best
    return Explanation(hit=False, digest=digest, nearest=candidate.digest, changes=tuple(found), unknown=unknown)


def _things(inputs: Mapping[str, Any]) -> tuple[frozenset[Any], frozenset[Any]]:
    """The contents of a mixture's sources, and what they are called."""
    contents, names = set(), set()
    for role in ("sources", "eval"):
        contents |= {files.digest_of(source["content"]) for source in inputs["digest_of"][role]}
        names |= {source.get("path") for source in inputs.get("shown", {}).get(role, ())}
    return frozenset(contents), frozenset(names)


def _leaves(inputs: Any) -> tuple[frozenset[Any], frozenset[Any]]:
    """The mixture that tokens were made of, and everything else with its value."""
    whole = {key: files.digest_of(value) for key, value in _flat(inputs).items()}
    return frozenset({whole["mixture"]} if "mixture" in whole else ()), frozenset(whole.items())


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {key: value}
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat.update(_flat(inner, f"{key}.{name}" if key else str(name)))
    return flat
