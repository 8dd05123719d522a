"""Tasks and benchmarks by name: built-ins and plugins take the same road.

A name maps to a `module:attribute` string. Nothing is imported until a name is asked for, so a broken plugin
cannot disturb a command that does not use it.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
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
    BENCHMARKS: {
        "alpacaeval": "align_cli.evals.alpacaeval:BENCHMARK",
        "alpacaeval1": "align_cli.evals.alpacaeval:BENCHMARK_1",
        "mtbench": "align_cli.evals.mtbench:BENCHMARK",
    },
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered name. `distribution` is empty for what `align` itself brings."""

    name: str
    target: str
    distribution: str = ""
    problem: str = ""
    """Why it cannot be had, where that is known before anything is imported: its name is taken, …"""


def built_in(group: str) -> tuple[str, ...]:
    """The names that `align` itself brings, sorted."""
    return tuple(sorted(_BUILT_IN[group]))


def entries(group: str) -> list[Entry]:
    """Everything that is registered in a group, by name; what cannot be had says so in its `problem`."""
    own = [Entry(name, target) for name, target in _BUILT_IN[group].items()]
    plugins = _plugin_entries(group)
    taken = {entry.name: "align" for entry in own}
    for entry in plugins:
        others = {other.distribution for other in plugins if other.name == entry.name} - {entry.distribution}
        if others:
            taken.setdefault(entry.name, " and ".join(sorted({entry.distribution, *others})))
    found = own + [replace(entry, problem=entry.problem or _clash(entry, taken.get(entry.name))) for entry in plugins]
    return sorted(found, key=lambda entry: (entry.name, entry.distribution))


def names(group: str) -> list[str]:
    """What may be asked for, sorted. Whether a plugin can be imported is not known without doing it."""
    return sorted({entry.name for entry in entries(group) if not entry.problem})


def plugins(group: str) -> list[str]:
    """Those of `names` that come with other packages."""
    return [name for name in names(group) if name not in _BUILT_IN[group]]


def find(group: str, name: str) -> Entry:
    """What is registered under `name`; a built-in is found without looking for plugins.

    Raises:
        UsageError: nothing has that name; near names are suggested or all names listed.
        PluginError: several packages have it.
    """
    target = _BUILT_IN[group].get(name)
    if target is not None:
        return Entry(name, target)
    known = entries(group)
    for entry in known:
        if entry.name == name:
            return _usable(entry)
    what = group.removeprefix("align.").removesuffix("s")
    raise UsageError(f'there is no {what} "{name}"', hint=suggest(name, [one.name for one in known if not one.problem]))


def get(group: str, name: str) -> Any:
    """Import what is registered under `name`.

    Raises:
        UsageError, PluginError: as `find` and `load`.
    """
    return load(find(group, name))


def load(entry: Entry) -> Any:
    """Import one entry. What a plugin prints while it is imported goes to stderr: stdout is for results.

    Raises:
        PluginError: the plugin is broken; the message names the distribution and the cause.
    """
    if not entry.distribution:
        return _load(entry)
    _usable(entry)
    try:
        with redirect_stdout(sys.stderr):
            return _load(entry)
    except (Exception, SystemExit) as cause:
        raise PluginError(
            f'the plugin "{entry.name}" of the package {entry.distribution} is broken: {_words(cause)}',
            hint=remedy(entry, f"update it or remove it: pip uninstall {entry.distribution}"),
        ) from cause


def remedy(entry: Entry, otherwise: str) -> str:
    """What to do about a broken plugin: who has installed it from a folder to work on it can correct it there."""
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        said = json.loads(distribution(entry.distribution).read_text("direct_url.json") or "{}")  # PEP 610
        folder = unquote(urlsplit(said["url"]).path) if said["dir_info"]["editable"] else ""
    except (PackageNotFoundError, OSError, ValueError, KeyError, TypeError):
        folder = ""
    return f"correct it in {folder}, where it is installed from" if folder else otherwise


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean …?` for near spellings, else the list of what exists."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"available: {', '.join(known)}" if known else ""


def _words(cause: BaseException) -> str:
    """The error with its type; of text that is no Python, also where."""
    if isinstance(cause, SyntaxError) and cause.filename:
        return f"{type(cause).__name__}: {cause.msg}, in {cause.filename}:{cause.lineno}"
    return f"{type(cause).__name__}: {cause}"


def _load(entry: Entry) -> Any:
    module, _, attributes = entry.target.partition(":")
    found = import_module(module)
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)
    return found


def _usable(entry: Entry) -> Entry:
    if entry.problem:
        remedy = f"pip uninstall {entry.distribution}"
        raise PluginError(f'the plugin "{entry.name}" cannot be used: {entry.problem}', hint=f"remove one: {remedy}")
    return entry


def _clash(entry: Entry, taken_by: str | None) -> str:
    if taken_by is None:
        return ""
    owner = "align's own" if taken_by == "align" else f"registered by {taken_by}"
    return f'the name "{entry.name}" is {owner}, so that of {entry.distribution} is not used'


def _plugin_entries(group: str) -> list[Entry]:
    from importlib.metadata import entry_points  # 30 ms, and most commands name a built-in

    try:
        points = list(entry_points(group=group))
    except Exception:  # noqa: BLE001 - one unreadable file, of whatever package, must not hide the others
        return _one_package_at_a_time(group)
    return [Entry(point.name, point.value, point.dist.name if point.dist else "?") for point in points]


def _one_package_at_a_time(group: str) -> list[Entry]:
    """As `_plugin_entries` where some package's `entry_points.txt` cannot be read."""
    from importlib.metadata import distributions

    found: dict[str, list[Entry]] = {}
    for package in distributions():
        written = package.read_text("entry_points.txt") or ""
        if group not in written or package.name in found:
            continue
        try:
            points = package.entry_points.select(group=group)
            found[package.name] = [Entry(point.name, point.value, package.name) for point in points]
        except Exception as cause:  # noqa: BLE001 - it is listed with its cause
            problem = f"its entry_points.txt cannot be read: {cause}"
            found[package.name] = [Entry(package.name, "", package.name, problem)]
    return [entry for entries in found.values() for entry in entries]
