"""What differs between two input documents, in the recipe's words: which source, which file, which parameter.

The documents are those of `identity.inputs`; `between_trees` compares any other two JSON documents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from align_cli.mix.store import identity
from align_cli.recipe.schema import Clean, Mixture, Source

How = Literal["changed", "added", "removed"]

_LONGEST = 80  # characters of a value in a sentence
_HEX = re.compile(r"[0-9a-f]{32,}")
_CODE = "code version"
_KNOWN = ("code", "kinds", "parameters", "references", "measure", "sources", "eval")


class Change(NamedTuple):
    """One input that is not what it was. `before` and `now` are JSON values; None is "not set" or "not there"."""

    what: str
    """Where it is, e.g. `sources.0 (chat.jsonl): where`."""
    before: Any
    now: Any
    how: How = "changed"

    def __str__(self) -> str:
        if self.how != "changed":
            value = self.now if self.how == "added" else self.before
            return f"{self.what}: {self.how}{f' ({said(value)})' if value is not None else ''}"
        if isinstance(self.before, str) and isinstance(self.now, str) and "\n" in self.before + self.now:
            return f"{self.what}: {_first_difference(self.before, self.now)}"
        return f"{self.what}: {said(self.before)} -> {said(self.now)}"

    @property
    def is_code(self) -> bool:
        """Whether only `align` itself differs: the rows may still be the same."""
        return self.what == _CODE


def between(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """What differs between two documents of `identity.inputs`; empty when their digests are equal."""
    was, is_ = before["digest_of"], now["digest_of"]
    changes = []
    for role in ("sources", "eval"):
        changes += _of_sources(role, _entries(before, role), _entries(now, role))
    changes += _of_parameters("", was.get("parameters", {}), is_.get("parameters", {}))
    changes += _of_references(before, now)
    if was.get("measure") != is_.get("measure"):
        what = "tokenizer and template that count tokens"
        changes.append(Change(what, was.get("measure"), is_.get("measure")))
    if was.get("kinds") != is_.get("kinds"):
        changes.append(Change("kinds of rows that the task takes", was.get("kinds"), is_.get("kinds")))
    rest, now_rest = ({key: value for key, value in half.items() if key not in _KNOWN} for half in (was, is_))
    changes += between_trees(rest, now_rest)
    if was.get("code") != is_.get("code"):
        changes.append(Change(_CODE, was.get("code"), is_.get("code")))
    return changes or between_trees(was, is_)


def between_trees(before: Any, now: Any, what: str = "") -> list[Change]:
    """What differs between two JSON documents, leaf by leaf; keys are joined by dots."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        changes = []
        for key in dict.fromkeys((*before, *now)):
            changes += between_trees(before.get(key), now.get(key), f"{what}.{key}" if what else str(key))
        return changes
    return [] if before == now else [Change(what, before, now)]


def paired(
    before: Sequence[Any], now: Sequence[Any], keys: Sequence[Callable[[Any], Any]]
) -> list[tuple[int | None, int | None]]:
    """Which item of one list is which of the other: equal under the first key, then under the second, and so on.

    Of equal ones the first free is taken. A key that gives None pairs nothing. Pairs come in the order of `now`; what
    has no partner stands beside None, items of `before` at the end.
    """
    partner: dict[int, int] = {}  # position in `now` -> in `before`
    taken: set[int] = set()
    for key in keys:
        free: dict[Any, list[int]] = {}
        for old, item in enumerate(before):
            if old not in taken:
                free.setdefault(key(item), []).append(old)
        for new, item in enumerate(now):
            if new in partner or key(item) is None or not free.get(key(item)):
                continue
            options = free[key(item)]
            partner[new] = options.pop(options.index(new) if new in options else 0)
            taken.add(partner[new])
    pairs: list[tuple[int | None, int | None]] = [(partner.get(new), new) for new in range(len(now))]
    return pairs + [(old, None) for old in range(len(before)) if old not in taken]


def said(value: Any) -> str:
    """A value as a sentence has it: digests and long texts cut short."""
    if value is None:
        return "not set"
    if isinstance(value, Mapping) and set(value) == {"bytes", "sha256"}:
        return f"{value['bytes']:,} bytes sha256 {value['sha256'][:12]}…"
    if isinstance(value, str):
        value = _HEX.sub(lambda digest: f"{digest[0][:12]}…", value)
        return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class _Entry(NamedTuple):
    """One source of a document: both halves of it."""

    content: Any
    parameters: Mapping[str, Any]
    shown: Mapping[str, Any]
    number: int

    @property
    def label(self) -> str:
        return str(self.shown.get("label", ""))

    def files(self) -> list[tuple[str, int, str]]:
        """(name, bytes, sha256) of each file."""
        listed = self.content.get("files", [])
        names = [*self.shown.get("files", []), *[""] * len(listed)]
        return [(name or f"file {number}", *one) for number, (name, one) in enumerate(zip(names, listed, strict=False))]


def _entries(document: Mapping[str, Any], role: str) -> list[_Entry]:
    listed = document["digest_of"].get(role, [])
    shown = [*document.get("shown", {}).get(role, []), *[{}] * len(listed)]
    return [
        _Entry(one["content"], one["parameters"], names, index)
        for index, (one, names) in enumerate(zip(listed, shown, strict=False))
    ]


def _of_sources(role: str, before: Sequence[_Entry], now: Sequence[_Entry]) -> list[Change]:
    whole: Callable[[_Entry], str] = lambda one: _key([one.content, one.parameters])  # noqa: E731
    pairs = paired(
        before,
        now,
        (
            whole,
            lambda one: _key(one.content),
            lambda one: one.label or None,
            lambda one: one.shown.get("path"),
            lambda one: one.number,
        ),
    )
    changes = []
    for old, new in pairs:
        if new is None and old is not None:
            changes.append(Change(_named(role, before[old]), _summary(before[old]), None, "removed"))
        elif old is None and new is not None:
            changes.append(Change(_named(role, now[new]), None, _summary(now[new]), "added"))
        elif old is not None and new is not None:
            changes += _of_source(_named(role, now[new]), before[old], now[new])
    order = [old for old, new in pairs if old is not None and new is not None]
    if order != sorted(order):
        ends = [before[old].label for old in sorted(order)], [before[old].label for old in order]
        changes.append(Change(f"order of {role}", *ends))
    return changes


def _named(role: str, entry: _Entry) -> str:
    return f"{role}.{entry.number}{f' ({entry.label})' if entry.label else ''}"


def _summary(entry: _Entry) -> Any:
    """What an added or removed source holds."""
    listed = entry.files()
    if not listed:
        return entry.content
    if len(listed) == 1:
        return {"bytes": listed[0][1], "sha256": listed[0][2]}
    return f"{len(listed)} files, {sum(size for _, size, _ in listed):,} bytes"


def _of_source(what: str, before: _Entry, now: _Entry) -> list[Change]:
    changes = []
    if before.content != now.content:
        if "files" in before.content and "files" in now.content:
            changes += _of_files(what, before.files(), now.files())
        rest = [{key: value for key, value in one.content.items() if key != "files"} for one in (before, now)]
        if ("files" in before.content) != ("files" in now.content):
            changes.append(Change(f"{what}: content", _summary(before), _summary(now)))
        else:
            changes += _of_revision(what, before, now, *rest)
    return changes + _of_parameters(f"{what}: ", before.parameters, now.parameters, Source)


def _of_revision(what: str, before: _Entry, now: _Entry, was: Any, is_: Any) -> list[Change]:
    """What names a Hub set's rows; a new commit is told with the revisions that were asked for."""
    changes = []
    for change in between_trees(was, is_):
        if change.what == "commit":
            asked = [f" ({one.shown['revision']})" if one.shown.get("revision") else "" for one in (before, now)]
            ends = f"{said(change.before)}{asked[0]}", f"{said(change.now)}{asked[1]}"
            changes.append(Change(f"{what}: revision", ends[0], ends[1]))
        else:
            changes.append(change._replace(what=f"{what}: {change.what}"))
    return changes


def _of_files(what: str, before: Sequence[tuple[str, int, str]], now: Sequence[tuple[str, int, str]]) -> list[Change]:
    place = {id(one): index for files in (before, now) for index, one in enumerate(files)}
    pairs = paired(before, now, (lambda one: one[1:], lambda one: one[0], lambda one: place[id(one)]))
    changes = []
    for old, new in pairs:
        was = {"bytes": before[old][1], "sha256": before[old][2]} if old is not None else None
        is_ = {"bytes": now[new][1], "sha256": now[new][2]} if new is not None else None
        name = now[new][0] if new is not None else before[old or 0][0]
        if was != is_:
            alone = len(before) == len(now) == 1
            subject = "file content" if alone else f"content of {name}"
            how: How = "added" if was is None else "removed" if is_ is None else "changed"
            changes.append(Change(f"{what}: {subject if how == 'changed' else f'file {name}'}", was, is_, how))
    order = [old for old, new in pairs if old is not None and new is not None]
    if order != sorted(order):
        changes.append(Change(f"{what}: order of files", [one[0] for one in before], [one[0] for one in now]))
    return changes


def _of_parameters(
    prefix: str, before: Mapping[str, Any], now: Mapping[str, Any], kind: type[Any] = Mixture
) -> list[Change]:
    """Parameters that differ; one that a document leaves out had its default."""
    changes = []
    for name in dict.fromkeys((*before, *now)):
        if name == "clean" and kind is Mixture:
            changes += _of_parameters(f"{prefix}clean.", before.get(name, {}), now.get(name, {}), Clean)
            continue
        default = identity.default_of(kind, name)
        was, is_ = before.get(name, default), now.get(name, default)
        if isinstance(was, Mapping) and isinstance(is_, Mapping):
            changes += between_trees(was, is_, f"{prefix}{name}")
        elif was != is_:
            changes.append(Change(f"{prefix}{name}", was, is_))
    return changes


def _of_references(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Texts that decontamination looks for; a new name for the same text is no change."""
    if before["digest_of"].get("references") == now["digest_of"].get("references"):
        return []
    old, new = (list(one.get("shown", {}).get("references", {}).items()) for one in (before, now))
    changes = []
    for first, second in paired(old, new, (lambda one: _key(one[1]), lambda one: one[0])):
        name = new[second][0] if second is not None else old[first or 0][0]
        was = old[first][1] if first is not None else None
        is_ = new[second][1] if second is not None else None
        how: How = "added" if was is None else "removed" if is_ is None else "changed"
        if was != is_:
            changes.append(Change(f"clean.decontaminate {name}", was, is_, how))
    return changes


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _first_difference(before: str, now: str) -> str:
    """Where two texts of several lines part."""
    old, new = before.splitlines(), now.splitlines()
    for number, (was, is_) in enumerate(zip(old, new, strict=False), 1):
        if was != is_:
            return f"line {number}: {said(was)} -> {said(is_)}"
    if len(old) == len(new):
        return "only the ends of lines differ"
    return f"{len(old)} lines -> {len(new)} lines, the first {min(len(old), len(new))} as before"
