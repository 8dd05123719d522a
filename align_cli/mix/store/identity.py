"""What a mixture is made of, in full and as a digest: equal for any path, name or date, and for no changed byte.

The document has two halves. `digest_of` is what the address is computed from; a parameter that has its default is left
out of it, so that a new parameter changes no old address. `shown` is for people: names and paths, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from align_cli import files, fingerprints
from align_cli.mix.sources.locate import Located
from align_cli.mix.sources.opening import spoilt
from align_cli.recipe.schema import Mixture, Source

#: Raised whenever the same inputs would give other rows (so, too, when a default changes its meaning).
CODE_VERSION = 2
#: What a source is called, and what its content says already: the commit stands for the revision.
_COSMETIC = ("path", "name", "revision", "data_files")


def of(located: Located) -> dict[str, Any]:
    """What the rows of a source depend on: the bytes of the files, not their paths or dates.

    Raises:
        DataError: a file cannot be read.
    """
    if located.identity:
        return dict(located.identity)
    entries = []
    for file in dict.fromkeys(file for part in located.parts for file in part.files):
        try:
            size, digest = fingerprints.of_file(file.path)
        except OSError as error:
            raise spoilt(file, f"the file cannot be read: {error.strerror or error}") from None
        entries.append({"name": file.path.name, "bytes": size, "sha256": digest})
    return {"files": entries}


def content(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity without what a file is called."""
    plain: dict[str, Any] = _plain(identity)
    if "files" in plain:
        plain["files"] = [[entry["bytes"], entry["sha256"]] for entry in plain["files"]]
    return plain


def inputs(
    mixture: Mixture,
    kinds: Sequence[str],
    identities: Sequence[Mapping[str, Any]],
    *,
    references: Mapping[str, Any] | None = None,
    measure: str | None = None,
) -> dict[str, Any]:
    """Everything that decides the rows of a mixture, JSON-able: every source's content and every parameter.

    `identities` are those of the sources, then of the evaluation sources; `references` is what `clean.references`
    gives: under "references" the digest of each text that decontamination looks for, under other names whatever else
    decides the outcome of cleaning; `measure` the identity of what counts tokens, if anything has to.
    """
    clean = _chosen(mixture.clean, without=("decontaminate",))
    parameters = _chosen(mixture, without=("sources", "eval", "clean"))
    if clean:
        parameters["clean"] = clean
    digest_of: dict[str, Any] = {"code": CODE_VERSION, "kinds": list(kinds), "parameters": parameters}
    others = dict(references or {})
    texts = others.pop("references", {})
    if texts:  # what is looked for, not what it is called or in which order
        digest_of["references"] = sorted(_plain(list(texts.values())), key=files.digest_of)
    if others:
        digest_of["cleaning"] = _plain(others)
    if measure is not None:
        digest_of["measure"] = measure
    words = dict.fromkeys(mixture.clean.decontaminate)
    named = dict(zip(words, texts.values(), strict=True)) if len(words) == len(texts) else texts
    shown: dict[str, Any] = {"references": _plain(named)}
    split_at = len(mixture.sources)
    for role, sources, of_role in (
        ("sources", mixture.sources, identities[:split_at]),
        ("eval", mixture.eval, identities[split_at:]),
    ):
        pairs = list(zip(sources, of_role, strict=True))
        digest_of[role] = [
            {"content": content(identity), "parameters": _of_source(source, mixture)} for source, identity in pairs
        ]
        shown[role] = [_shown(source, identity) for source, identity in pairs]
    return {"digest_of": digest_of, "shown": shown}


def digest_of_inputs(inputs: Mapping[str, Any]) -> str:
    """The address of the mixture that this document describes."""
    return files.digest_of(inputs["digest_of"])


def default_of(kind: type[Any], name: str) -> Any:
    """The value, as JSON has it, of a parameter that a document leaves out; None when there is no such parameter."""
    return next((_plain(_default(field)) for field in fields(kind) if field.name == name), None)


def _of_source(source: Source, mixture: Mixture) -> dict[str, Any]:
    """A source's parameters, without what only spells out the default: all rows, once."""
    chosen = _chosen(source, without=_COSMETIC)
    if mixture.combine == "native":
        for word in ("fraction", "repeat"):
            if chosen.get(word) == 1:
                del chosen[word]
    return chosen


def _shown(source: Source, identity: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"label": source.label, "path": source.path}
    if source.revision is not None:
        entry["revision"] = source.revision
    if "files" in identity:
        entry["files"] = [file["name"] for file in identity["files"]]
    return entry


def _chosen(value: Any, *, without: Sequence[str]) -> dict[str, Any]:
    """A dataclass's fields, as JSON has them, where they are not at their defaults."""
    chosen = {}
    for field in fields(value):
        mine = getattr(value, field.name)
        if field.name not in without and mine != _default(field):
            chosen[field.name] = _plain(mine)
    return chosen


def _default(field: Any) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return None if field.default is MISSING else field.default


def _plain(value: Any) -> Any:
    """As it is when JSON is written and read again; 1.0 and 1 are one number, and keys have one order."""
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
