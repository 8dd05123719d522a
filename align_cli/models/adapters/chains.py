"""Adapters as models: from an adapter to its base, which may be an adapter again, and what cannot be right in between.

Nothing here loads torch; what has to be computed is `merging`'s. A chain is also a record: it goes into the manifest
of a run that began from it, into the header of the adapter that comes out, and into a merged model's folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from align_cli.errors import Problem, UsageError
from align_cli.files import cache_root, digest_of, read_json
from align_cli.models.adapters import lora
from align_cli.models.adapters.lora import CONFIG, Adapter, is_adapter
from align_cli.models.finding import contents, places

#: What was merged into a model's folder, and by whom.
RECORD = "align/merged.json"
#: All adapters of a stage as one, for whoever trains on top of it.
STACKED = "align/stacked"
#: Methods whose adapters are words before the prompt, or choose between parts: no weight can hold them.
_NOT_MERGEABLE = {
    "PROMPT_TUNING": "learns virtual tokens",
    "MULTITASK_PROMPT_TUNING": "learns virtual tokens",
    "P_TUNING": "learns virtual tokens",
    "PREFIX_TUNING": "learns virtual tokens",
    "ADAPTION_PROMPT": "learns virtual tokens",
    "CPT": "learns virtual tokens",
    "CARTRIDGE": "learns virtual tokens",
    "POLY": "chooses between adapters",
    "XLORA": "chooses between adapters",
}
#: Settings of LoRA with which it is no sum of weights -> what they do.
_NOT_A_SUM = {
    "alora_invocation_tokens": "acts only after certain tokens",
    "arrow_config": "chooses between adapters",
    "layer_replication": "repeats layers",
}
#: Ways to begin a LoRA that change the base's weights too; the saved adapter alone does not say how.
_CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")
#: Files of a run that name its base, and where in them.
_SAYS_BASE = (
    ("align/manifest.json", ("facts", "chain", "base", "name")),
    ("align/recipe.json", ("values", "model_name_or_path")),
)
_TASKS = (None, "CAUSAL_LM", "SEQ_CLS")


@dataclass(frozen=True, kw_only=True)
class Link:
    """A model or an adapter: what it is called, where it lies here, and what it is."""

    name: str
    """What finds it again: a Hub id, a folder, `pkg://…`."""
    revision: str | None
    """The commit, for what came from the Hub; else what was asked for."""
    folder: Path
    adapter: Adapter | None = None
    contains: tuple[str, ...] = ()
    """Digests of earlier adapters that were stacked into this one, or merged into this model."""

    @cached_property
    def digest(self) -> str:
        """Of the content; a large model is read for it once and remembered."""
        return self.adapter.digest if self.adapter else contents.digest_of_model(self.folder)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        said = {"name": self.name, "revision": self.revision, "folder": str(self.folder), "digest": self.digest}
        return {**said, "contains": list(self.contains)} if self.contains else said


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A base and the adapters on it, in the order in which they were trained; none for a plain model."""

    base: Link
    adapters: tuple[Link, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"base": self.base.as_dict(), "adapters": [link.as_dict() for link in self.adapters]}

    @property
    def digest(self) -> str:
        """Of everything that decides the merged weights."""
        return digest_of([self.base.digest, *(link.digest for link in self.adapters)])

    @property
    def names(self) -> str:
        """`base + adapter + adapter`, for sentences."""
        return " + ".join(link.name for link in (self.base, *self.adapters))


def chain(
    folder: Path,
    *,
    name: str = "",
    revision: str | None = None,
    base: str | None = None,
    base_revision: str | None = None,
    find: Callable[[str, str | None], Path | None] = lambda name, revision: places.find(name, revision=revision),
) -> Chain | None:
    """The chain that ends in `folder`; None only where `find` gives None because it may not fetch.

    `base` and `base_revision` stand for what the adapter itself says of its base.

    Raises:
        UsageError: a link is missing, damaged, of a kind that cannot be used, or in the chain twice.
    """
    links: list[Link] = []
    name = name or str(folder)
    while is_adapter(folder):
        adapter = lora.read(folder)
        demand_usable(adapter)
        links.insert(0, _link(name, revision, folder, adapter))
        wanted, at = _base_of(adapter, base, base_revision)
        found = find(wanted, at) if base else _found(wanted, at, adapter, find)
        base = base_revision = None
        if found is None:
            return None
        if any(found.resolve() == link.folder.resolve() for link in links):
            around = " -> ".join([*(link.name for link in reversed(links)), wanted])
            raise UsageError(f"{name}: the adapters name each other as their base: {around}")
        name, revision, folder = _lasting_name(wanted, found, adapter), at, found
    record = record_of(folder)
    if record and record["role"] == "stage":
        return _unfolded(record, folder, links)
    contains = tuple(_digests(record["chain"])) if record else ()
    whole = Chain(
        base=Link(name=name, revision=places.commit_of(folder) or revision, folder=folder, contains=contains),
        adapters=tuple(links),
    )
    _demand_once(whole)
    return whole


def problem(folder: Path, name: str = "") -> Problem | None:
    """What is wrong with the model or adapter in `folder` as far as files here can tell; no network, no work."""
    from align_cli.models.adapters import fits

    try:
        found = chain(folder, name=name, find=places.nearby)
        problems = fits.problems(found) if found else []
    except UsageError as error:
        where, _, message = error.message.partition(": ")
        return Problem(message or error.message, where if message else "", error.hint)
    return problems[0] if problems else None


def demand_usable(adapter: Adapter) -> None:
    """Raise for an adapter that no weights can hold, or that belongs to another kind of model."""
    config, place = adapter.config, adapter.folder
    if why := _NOT_MERGEABLE.get(adapter.kind):
        raise UsageError(
            f"{place}: an adapter of the kind {adapter.kind} {why} and cannot become part of a model's weights",
            hint="train and merge LoRA adapters",
        )
    if config.get("task_type") not in _TASKS:
        raise UsageError(f"{place}: this adapter is for {config['task_type']}, not for a language model")
    if adapter.kind != "LORA":
        return
    for key, why in _NOT_A_SUM.items():
        if config.get(key):
            raise UsageError(f"{place}: {key} is set: this adapter {why} and cannot be merged")
    begun = str(config.get("init_lora_weights") or "").lower()
    if begun.startswith(_CHANGES_BASE):
        raise UsageError(
            f"{place}: this adapter began as {begun}, which changes its base's weights as well",
            hint="save it as a plain LoRA: peft's save_pretrained(path_initial_model_for_weight_conversion=…)",
        )


def record_of(folder: Path) -> dict[str, Any] | None:
    """What was merged into the model in `folder`; None for a model that was not merged by `align`.

    Raises:
        UsageError: there is a record, and it cannot be read.
    """
    place = folder / RECORD
    if not place.is_file():
        return None
    try:
        record = read_json(place)
        role: Literal["stage", "model"] = record["role"]
        _digests(record["chain"])
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise UsageError(f"{place}: this record cannot be read", hint="merge the adapter again") from cause
    return {**record, "role": role}


def stage_of(folder: Path) -> dict[str, Any] | None:
    """The record of a chain that was merged to be trained on; None for any other model."""
    record = record_of(folder)
    return record if record and record["role"] == "stage" else None


def spelling(base: Link) -> str:
    """How an adapter's config names this base, so that plain peft finds it: a Hub id, or an absolute folder."""
    local = places.here(base.name)
    if local is None and base.folder.is_dir() and places.commit_of(base.folder) and "://" not in base.name:
        return base.name
    return str(base.folder.resolve())


def _link(name: str, revision: str | None, folder: Path, adapter: Adapter) -> Link:
    said = adapter.header.metadata.get(lora.METADATA) if adapter.is_readable else None
    contains: tuple[str, ...] = ()
    if said:
        try:
            contains = tuple(one for one in _digests(json.loads(said)) if one != adapter.digest)
        except (ValueError, KeyError, TypeError) as cause:
            raise UsageError(f"{adapter.file}: the record of its chain ({lora.METADATA}) cannot be read") from cause
    return Link(
        name=name, revision=places.commit_of(folder) or revision, folder=folder, adapter=adapter, contains=contains
    )


def _base_of(adapter: Adapter, base: str | None, revision: str | None) -> tuple[str, str | None]:
    named = base or adapter.config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named.strip():
        raise UsageError(
            f"{adapter.folder}: the adapter does not say which model it was trained on",
            hint=f"set base_model_name_or_path in its {CONFIG}; align model merge and align chat also take --base",
        )
    at = revision or (None if base else adapter.config.get("revision"))
    return named, at


def _found(
    wanted: str, at: str | None, adapter: Adapter, find: Callable[[str, str | None], Path | None]
) -> Path | None:
    """The folder of an adapter's base; a run's own recipe is asked where the adapter's word leads nowhere."""
    problem = places.check(wanted)
    for own in _recorded_bases(adapter.folder) if problem is not None else ():
        if places.check(own) is None and not ((place := places.here(own)) and is_adapter(place)):
            return find(own, None)
    if problem is not None:
        raise UsageError(
            f"{adapter.folder}: its base model {wanted} cannot be used: {problem.message}",
            hint=f"put it back, or name the right one in {CONFIG}; align model merge and align chat also take --base",
        )
    return find(wanted, at)


def _recorded_bases(folder: Path) -> list[str]:
    """What a run's own files call the model it began from: its chain's base, then the model its recipe names."""
    found = []
    for file, keys in _SAYS_BASE:
        try:
            value = read_json(folder / file)
            for key in keys:
                value = value[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(value, str):
            found.append(value)
    return found


def _lasting_name(wanted: str, found: Path, adapter: Adapter) -> str:
    """A name that finds the base again when the cache is gone: a run that began from a GGUF file knows it."""
    if not Path(wanted).is_relative_to(cache_root()):
        return wanted
    plain = (own for own in _recorded_bases(adapter.folder) if not is_adapter(places.here(own) or found))
    return next(plain, wanted)


def _unfolded(record: Mapping[str, Any], stage: Path, links: list[Link]) -> Chain:
    """The chain through a stage: its base, its adapters as one, then what was trained on top.

    Where its adapters cannot be one, the stage itself is the base.
    """
    said = record["chain"]
    stacked = stage / STACKED
    if not is_adapter(stacked):
        base = Link(name=str(stage), revision=None, folder=stage, contains=tuple(_digests(said)))
        return Chain(base=base, adapters=tuple(links))
    root = Link(name=said["base"]["name"], revision=said["base"]["revision"], folder=Path(said["base"]["folder"]))
    if not root.folder.is_dir():
        root = Link(name=root.name, revision=root.revision, folder=places.find(root.name, revision=root.revision))
    first = _link(said["adapters"][-1]["name"], None, stacked, lora.read(stacked))
    whole = Chain(base=root, adapters=(first, *links))
    _demand_once(whole)
    return whole


def _digests(said: Mapping[str, Any]) -> list[str]:
    """Digests of all adapters in a chain's record, stacked ones included."""
    own = [str(link["digest"]) for link in said["adapters"]]
    deeper = [one for link in said["adapters"] for one in link.get("contains", ())]
    return list(dict.fromkeys([*said["base"].get("contains", ()), *deeper, *own]))


def _demand_once(whole: Chain) -> None:
    seen = dict.fromkeys(whole.base.contains, whole.base)
    for link in whole.adapters:
        if not seen and len(whole.adapters) == 1 and not link.contains:
            return  # nothing to compare with: spare reading the weights
        for digest in (link.digest, *link.contains):
            if digest in seen:
                raise _twice(digest, link, seen[digest])
        seen.update(dict.fromkeys((link.digest, *link.contains), link))


def _twice(digest: str, above: Link, below: Link) -> UsageError:
    """The error for an adapter that is, or is part of, both of these links."""
    if digest == above.digest:
        part, whole = above.name, below.name
    elif below.adapter is not None and digest == below.digest:
        part, whole = below.name, above.name
    else:
        return UsageError(
            f"{above.name} and {below.name} hold the same earlier adapter, which would act twice",
            hint=f"use {above.name} on the base that it was trained on",
        )
    return UsageError(
        f"{part}: this adapter is already part of {whole}, and would act twice", hint=f"use {whole} without it"
    )
