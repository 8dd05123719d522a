"""A resolved recipe as YAML that can be used again, with the origin of each value beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from align_cli.recipe.schema import Launch, Mixture, Recipe
from align_cli.recipe.secrets import SECRET_KEYS

_COLUMN = 52  # where the comments start, unless a value is longer
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")  # YAML 1.1 reads these as something else
_PLAIN = re.compile(r"([A-Za-z]|/|\.\.?/)[\w./+-]*(://[\w./+-]*)?", re.ASCII)


def resolved(recipe: Recipe) -> str:
    """Flat values first, then the blocks; what has its default is left out, secrets too."""
    lines = [f"# {recipe.path or 'from the command line'}, resolved for {recipe.task}", f"profile: {recipe.profile}"]
    for key, value in recipe.values.items():
        if key in SECRET_KEYS:
            lines.append(f"# {key}: not shown")
            continue
        lines += _entry(key, value, str(recipe.origins.get(key, "")))
    lines += _block("mixture", recipe.mixture, Mixture(), recipe)
    lines += _block("launch", recipe.launch, Launch(), recipe)
    if recipe.env:
        lines += ["# env: sets " + ", ".join(sorted(recipe.env))]
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any, origin: str) -> list[str]:
    if isinstance(value, str) and "\n" in value:
        body = [f"  {line}".rstrip() for line in value.split("\n")]
        return [_commented(f"{key}: |-", origin), *body]
    return [_commented(f"{key}: {scalar(value)}", origin)]


def _commented(text: str, origin: str) -> str:
    return f"{text:<{_COLUMN}}  # {origin}" if origin else text


def _block(name: str, block: Any, default: Any, recipe: Recipe, outer: str = "") -> list[str]:
    """A block of ours, only what differs from its defaults; `outer` is the path of the block it stands in."""
    if block == default:
        return []
    lines = [f"{name}:"]
    for item in fields(block):
        value = getattr(block, item.name)
        if value == getattr(default, item.name):
            continue
        if isinstance(value, tuple) and value and hasattr(value[0], "__dataclass_fields__"):
            lines.append(f"  {item.name}:")
            for index, member in enumerate(value):
                lines += _member(member, f"{name}.{item.name}.{index}", recipe)
        elif is_dataclass(value):
            lines += [f"  {line}" for line in _block(item.name, value, getattr(default, item.name), recipe, f"{name}.")]
        else:
            origin = str(recipe.origins.get(f"{outer}{name}.{item.name}", ""))
            lines.append(_commented(f"  {item.name}: {scalar(value)}", origin))
    return lines


def _member(member: Any, path: str, recipe: Recipe) -> list[str]:
    lines: list[str] = []
    for item in fields(member):
        value = getattr(member, item.name)
        default = item.default if item.default is not MISSING else {}
        if value != default and not (isinstance(value, Mapping) and not value):
            lead = "    - " if not lines else "      "
            origin = str(recipe.origins.get(f"{path}.{item.name}", ""))
            lines.append(_commented(f"{lead}{item.name}: {scalar(value)}", origin))
    return lines


def scalar(value: Any) -> str:
    """A value in YAML on one line: JSON is YAML, plain words need no quotes."""
    if isinstance(value, str) and value and _is_plain(value):
        return value
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, Mapping):
        value = dict(value)
    if isinstance(value, float) and "e" in repr(value) and "." not in repr(value):
        return repr(value).replace("e", ".0e")  # YAML 1.1 reads 2e-05 as text
    return json.dumps(value, ensure_ascii=False, default=str)


def _is_plain(text: str) -> bool:
    """No YAML 1.1 reader takes it for anything but this text."""
    return text.lower() not in _WORDS and _PLAIN.fullmatch(text) is not None
