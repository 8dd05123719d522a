"""The keys a recipe may use, read from the installed packages' source without importing them.

A task names its config dataclasses as `module:Class`. Their files are parsed with `ast`, base classes included, so
names, types, defaults and help are those of the installed version and cost no import of torch. What was read is
cached; the cache is valid as long as every file that was read keeps its size and time.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from align_cli import files, packages
from align_cli.errors import PluginError

_FORMAT = 4  # of the cache; raise it when Field or the reader changes


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a recipe.

    `annotation` is the type as upstream's source spells it. `default` means something only if `static`: a default
    that upstream computes is not known here. `choices` is empty when any value of the type may do.
    """

    name: str
    annotation: str
    default: Any
    static: bool
    help: str
    choices: tuple[str, ...]
    owner: str
    group: str


def fields_of(configs: Sequence[str]) -> dict[str, Field]:
    """All fields of the `module:Class` dataclasses by name; where two have a field, the first one's wins.

    `module:Class without KEY KEY` leaves fields out that mean nothing to the task.

    Raises:
        PluginError: a module, class or left out field is not there in the installed package.
    """
    path = files.cache_root() / "fields" / f"{_key(configs)}.json"
    cached = _read_cache(path)
    if cached is not None:
        return cached
    from align_cli.recipe import source  # parsing is needed once per installed version only

    reader = source.Reader()
    found: dict[str, Field] = {}
    for config in configs:
        named, _, listed = config.partition(" without ")
        module, _, name = named.partition(":")
        read, without = reader.fields(module, name), frozenset(listed.split())
        if absent := without - {raw.name for raw in read}:
            raise PluginError(f"{named} has no field {min(absent)} to leave out", hint=source.DOCTOR)
        for raw in read:
            if raw.name not in found and raw.name not in without:
                found[raw.name] = Field(
                    raw.name,
                    raw.annotation,
                    raw.default,
                    raw.static,
                    raw.help,
                    _choices(raw.choices or EXTRA_CHOICES.get(raw.name, ()), f"{raw.owner}.{raw.name}"),
                    raw.owner,
                    group_of(raw.name),
                )
    _write_cache(path, found, reader.read)
    return found


#: Choices that upstream writes down only as computed values.
EXTRA_CHOICES: Mapping[str, tuple[str, ...]] = {
    "log_level": ("detail", "debug", "info", "warning", "error", "critical", "passive"),
    "log_level_replica": ("detail", "debug", "info", "warning", "error", "critical", "passive"),
}


#: Values of our own beside upstream's choices.
OUR_CHOICES: Mapping[str, tuple[str, ...]] = {"trl.trainer.dpo_config:DPOConfig.loss_type": ("kto_pair",)}


def _choices(upstream: tuple[str, ...], field: str) -> tuple[str, ...]:
    return (*upstream, *OUR_CHOICES.get(field, ())) if upstream else ()


def groups() -> list[str]:
    """The headings under which help lists keys, in order."""
    return [*_groups(), _OTHER]


def group_of(name: str) -> str:
    """The heading of one key."""
    for group, patterns in _groups().items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            return group
    return _OTHER


_OTHER = "other"


@cache
def _groups() -> dict[str, list[str]]:
    text = (Path(__file__).parent / "groups.toml").read_text(encoding="utf-8")
    return {entry["name"]: entry["keys"] for entry in tomllib.loads(text)["group"]}


def _key(configs: Sequence[str]) -> str:
    # Without importlib.metadata: sizes and times of the files say more than a version, and cost 25 ms less.
    roots = [str(_root_or_fail(config)) for config in configs]
    text = json.dumps([_FORMAT, sys.version_info[:2], list(configs), roots])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _root_or_fail(config: str) -> Path:
    package = config.partition(":")[0].partition(".")[0]
    root = packages.root_of(package) or packages.file_of(package)
    if root is None:
        raise PluginError(f"the package {package} is not installed", hint=f"pip install {package}")
    return root


def _read_cache(path: Path) -> dict[str, Field] | None:
    try:
        document = json.loads(path.read_bytes())
        for name, size, time in document["read"]:
            stat = os.stat(name)
            if stat.st_size != size or stat.st_mtime_ns != time:
                return None
        return {item["name"]: Field(**{**item, "choices": tuple(item["choices"])}) for item in document["fields"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent, half-written by another version, or a file is gone: read again


def _write_cache(path: Path, found: Mapping[str, Field], read: Sequence[Path]) -> None:
    own = [Path(__file__), Path(__file__).with_name("source.py"), Path(__file__).with_name("groups.toml")]
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in [*read, *own]]
    with suppress(OSError):  # a read-only home costs time, not function
        files.write_json(path, {"read": stats, "fields": [asdict(field) for field in found.values()]})
