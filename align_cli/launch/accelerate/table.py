"""The table `keys.toml`: what becomes of each key, strategy and well-known file of accelerate."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

#: Sections of a file; a key below any other one is unknown.
SECTIONS = ("deepspeed_config", "fsdp_config", "parallelism_config", "dynamo_config")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What becomes of one key; at most one of the fields after `section` is not empty, but for a special one's."""

    name: str
    section: str = ""
    launch: str = ""
    trainer: str = ""
    fsdp: str = ""
    env: str = ""
    special: str = ""
    note: str = ""
    refuse: str = ""
    hint: str = ""
    unless: tuple[Any, ...] = ()


@cache
def rules() -> Mapping[tuple[str, str], Rule]:
    """(section, key) -> its rule."""
    found = {}
    for entry in _document()["key"]:
        section = entry.get("in", "")
        rest = {word: value for word, value in entry.items() if word not in ("in", "unless")}
        found[section, entry["name"]] = Rule(section=section, unless=tuple(entry.get("unless", ())), **rest)
    return found


def strategies() -> Mapping[str, str]:
    """`distributed_type` -> our strategy; `zero` lacks its stage."""
    return dict(_document()["distributed_type"])


def without_strategy() -> Mapping[str, str]:
    """`distributed_type` -> why it cannot be run."""
    return dict(_document()["no_strategy"])


def preset_for(file: str) -> str:
    """The shipped block that says what a file of the Handbook says, by the file's name; empty for any other name."""
    return str(_document()["handbook"].get(Path(file).stem, ""))


def handbook_names() -> list[str]:
    """The Handbook's files, by name and without `.yaml`."""
    return list(_document()["handbook"])


def suggestion(section: str, key: str) -> str:
    """What an unknown key was probably meant to be, or where it belongs."""
    for other, name in rules():
        if name == key:
            return f"{key} belongs {f'inside {other}:' if other else 'at the left margin'}"
    own = [name for other, name in rules() if other == section]
    near = difflib.get_close_matches(key, own, n=2, cutoff=0.7)
    return f"did you mean {' or '.join(near)}?" if near else "accelerate does not know it either"


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "keys.toml").read_text(encoding="utf-8"))
