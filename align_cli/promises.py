"""What a plugin promised, held against what it gives: nobody should search `align` for a plugin's mistake."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any

from align_cli import registry
from align_cli.errors import AlignError, PluginError, Problem
from align_cli.registry import Entry


def demand(entry: Entry, faults: Sequence[str]) -> None:
    """Raise for a registered value that is not what its group holds; `faults` says in which ways.

    Raises:
        PluginError: there are faults.
    """
    if not faults:
        return
    problems = [Problem(fault) for fault in faults]
    said = f'the plugin "{entry.name}" of the package {entry.distribution} is broken'
    said += f": {faults[0]}" if len(faults) == 1 else ""
    raise PluginError(said, problems=problems if len(faults) > 1 else (), hint=remedy(entry))


def watched(entry: Entry, part: str, function: Callable[..., Any], gives: type) -> Callable[..., Any]:
    """The function; what it raises that is no error for the user becomes one that names the plugin.

    The same for a result that is no `gives`.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            found = function(*args, **kwargs)
            if not isinstance(found, gives):
                raise TypeError(f"it gave a {type(found).__name__}, not a {gives.__name__}")
        except AlignError:
            raise
        except Exception as cause:
            if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
                raise  # a full disk is nobody's mistake
            words = " ".join(str(cause).split()) or "(no message)"
            raise PluginError(
                f'the plugin "{entry.name}" of the package {entry.distribution} failed in its {part}: '
                f"{type(cause).__name__}: {words}",
                hint=remedy(entry),
            ) from cause
        return found

    return call


def remedy(entry: Entry) -> str:
    """What to do about a broken plugin."""
    return registry.remedy(entry, f"tell the authors of {entry.distribution}, or update it")
