"""Tasks by name, with what a plugin promises held against what it gives.

A built-in task is taken as it is. A plugin's task is looked at when it is found, and whatever its functions raise
that is no error for the user becomes one which names the plugin: nobody should search `align` for its mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, get_args

from align_cli import promises, registry
from align_cli.errors import PluginError, Problem
from align_cli.recipe.fields import fields_of
from align_cli.tasks.task import Context, Prepared, Result, RowKind, Shape, Task

#: Rows that the shared preparation makes each shape of.
_ROWS_OF: Mapping[Shape, frozenset[RowKind]] = {
    "sequences": frozenset({"text", "messages", "prompt_completion"}),
    "pairs": frozenset({"preference"}),
    "judged": frozenset({"unpaired", "preference"}),
    "scored": frozenset({"preference"}),
}


def named(name: str) -> Task:
    """The task of that name.

    Raises:
        UsageError: there is none.
        PluginError: its plugin is broken, or registered something else.
    """
    return task_of(registry.find(registry.TASKS, name))


def task_of(entry: registry.Entry) -> Task:
    """What is registered there.

    Raises:
        PluginError: as `named`.
    """
    found = registry.load(entry)
    if not entry.distribution:
        assert isinstance(found, Task)
        return found
    faults = list(_faults(entry, found))
    if not faults:
        try:
            fields_of(found.configs)
        except PluginError as error:
            faults.append(error.message)
    promises.demand(entry, faults)
    return _watched(entry, found)


def _faults(entry: registry.Entry, found: Any) -> Iterator[str]:
    """What makes a registered value no task."""
    if not isinstance(found, Task):
        yield f"{entry.target} is a {type(found).__name__}, not a Task"
        return
    if found.name != entry.name:
        yield f'it is registered as "{entry.name}" and its task is called "{found.name}"'
    if not isinstance(found.summary, str) or not found.summary.strip():
        yield "summary is not a text"
    kinds = get_args(RowKind)
    rows_fit = isinstance(found.rows, tuple) and bool(found.rows) and all(kind in kinds for kind in found.rows)
    if not rows_fit:
        yield f"rows is {found.rows!r}, not a tuple of some of {', '.join(kinds)}"
    if not isinstance(found.configs, tuple) or not found.configs or not all(map(_names_class, found.configs)):
        yield f'configs is {found.configs!r}, not a tuple of texts "module:Class"'
    for part in ("run", "prepare", "check", "values"):
        value = getattr(found, part)
        if not callable(value) and not (value is None and part == "prepare"):
            yield f"{part} is a {type(value).__name__}, not a function"
    if found.shape not in _ROWS_OF:
        yield f"shape is {found.shape!r}, not one of {', '.join(_ROWS_OF)}"
    elif rows_fit and found.prepare is None and not set(found.rows) <= _ROWS_OF[found.shape]:
        yield f"rows {', '.join(found.rows)} cannot become {found.shape}: these are made of {_listed(found.shape)}"


def _listed(shape: Shape) -> str:
    return " or ".join(sorted(_ROWS_OF[shape]))


def _names_class(config: Any) -> bool:
    if not isinstance(config, str):
        return False
    module, _, name = config.partition(" ")[0].partition(":")
    return name.isidentifier() and all(map(str.isidentifier, module.split(".")))


def _watched(entry: registry.Entry, task: Task) -> Task:
    """The same task; a mistake in one of its functions is the plugin's."""
    watch = partial(promises.watched, entry)
    return replace(
        task,
        prepare=task.prepare and watch("prepare", task.prepare, Prepared),
        run=_signed(entry, watch("run", task.run, Result)),
        check=watch("check", lambda recipe: _problems(task.check(recipe)), tuple),
        values=watch("values", task.values, Mapping),
    )


def _problems(found: Iterable[Problem]) -> tuple[Problem, ...]:
    problems = tuple(found)
    for problem in problems:
        if not isinstance(problem, Problem):
            raise TypeError(f"it yielded a {type(problem).__name__}, not a Problem")
    return problems


def _signed(entry: registry.Entry, run: Callable[[Context], Result]) -> Callable[[Context], Result]:
    """The same; the manifest says which version of which package did the work."""

    def call(context: Context) -> Result:
        result = run(context)
        plugin = {"package": entry.distribution, "version": version(entry.distribution)}
        return replace(result, facts={**result.facts, "plugin": plugin})

    return call
