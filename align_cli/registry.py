"""Tasks and benchmarks by name: built-ins and plugins take the same road.

A name maps to a `module:attribute` string. Nothing is imported until a name is asked for, so a broken plugin
cannot disturb a command that does not use it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from align_cli.errors import PluginError, UsageError

TASKS = "align.tasks"
BENCHMARKS = "align.benchmarks"

_BUILT_IN: dict[str, dict[str, str]] = {
    TASKS: {
        "cpt": "align_cli.tasks.cpt:TASK",
        "dpo": "align_cli.tasks.dpo:TASK",
        "kto": "align_cli.tasks.kto:TASK",
        "orpo": "align_cli.tasks.orpo:TASK",
        "reward": "align_cli.tasks.reward:TASK",
        "sft": "align_cli.tasks.sft:TASK",
    },
    BENCHMARKS: {},
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered name. `distribution` is empty for what `align` itself brings."""

    name: str
    target: str
    distribution: str = ""


def entries(group: str) -> list[Entry]:
    """All registered names of a group, sorted; built-ins win over plugins of the same name."""
    found = {name: Entry(name, target) for name, target in _BUILT_IN[group].items()}
    for entry in _plugin_entries(group):
        found.setdefault(entry.name, entry)
    return sorted(found.values(), key=lambda entry: entry.name)


def get(group: str, name: str) -> Any:
    """Import what is registered under `name`.

    Raises:
        UsageError: nothing has that name; near names are suggested and all names listed.
        PluginError: the name is a plugin's, and the plugin cannot be imported.
    """
    target = _BUILT_IN[group].get(name)
    if target is not None:
        return _load(Entry(name, target))
    known = entries(group)
    for entry in known:
        if entry.name == name:
            return load(entry)
    what = group.removeprefix("align.").removesuffix("s")
    raise UsageError(f'there is no {what} "{name}"', hint=suggest(name, [entry.name for entry in known]))


def load(entry: Entry) -> Any:
    """Import one entry.

    Raises:
        PluginError: the plugin is broken; the message names the distribution and the cause.
    """
    try:
        return _load(entry)
    except Exception as cause:
        if not entry.distribution:
            raise
        raise PluginError(
            f'the plugin "{entry.name}" of the package {entry.distribution} is broken: {type(cause).__name__}: {cause}',
            hint=f"update it or remove it: pip uninstall {entry.distribution}",
        ) from cause


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean …?` for near spellings, else the list of what exists."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"available: {', '.join(known)}" if known else ""


def _load(entry: Entry) -> Any:
    module, _, attribute = entry.target.partition(":")
    return getattr(import_module(module), attribute)


def _plugin_entries(group: str) -> list[Entry]:
    from importlib.metadata import entry_points  # 30 ms, and most commands name a built-in

    points = entry_points(group=group)
    return [Entry(point.name, point.value, point.dist.name if point.dist else "?") for point in points]
