"""Typed values as tables and live displays: the only part of `align` that imports rich.

Import it inside the command that prints a table; help and errors do without. Each page is imported when it is first
shown: a command does not pay for the pages of the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from align_cli.cli.render.at_work import working
    from align_cli.cli.render.chatting import conversation
    from align_cli.cli.render.compared import difference, explanation
    from align_cli.cli.render.counter import counting
    from align_cli.cli.render.curve_lines import curves, drawn
    from align_cli.cli.render.evals.arena import arena
    from align_cli.cli.render.evals.report import evaluation
    from align_cli.cli.render.evals.steps import answered, judged
    from align_cli.cli.render.launching import environment, presets
    from align_cli.cli.render.lists import checked, doctor, recipes, tasks
    from align_cli.cli.render.live import display
    from align_cli.cli.render.mixture_page import mixture
    from align_cli.cli.render.models import exported, merged, model, steps
    from align_cli.cli.render.needs import probed
    from align_cli.cli.render.picture_file import picture
    from align_cli.cli.render.planned import dry_run
    from align_cli.cli.render.prepared import answers, finished, preparation
    from align_cli.cli.render.publishing import published
    from align_cli.cli.render.rows import left_out, row
    from align_cli.cli.render.run_list import runs
    from align_cli.cli.render.run_page import run
    from align_cli.cli.render.runs_compared import runs_difference
    from align_cli.cli.render.stored import cache, cache_entry, cache_removed

#: Module below this one -> what it has. No name is a module's too: importing that would put the module in its place.
_PAGES = {
    "chatting": ("conversation",),
    "compared": (
        "difference",
        "explanation",
    ),
    "counter": ("counting",),
    "curve_lines": (
        "curves",
        "drawn",
    ),
    "evals.arena": ("arena",),
    "evals.report": ("evaluation",),
    "evals.steps": (
        "answered",
        "judged",
    ),
    "launching": (
        "environment",
        "presets",
    ),
    "lists": (
        "checked",
        "doctor",
        "recipes",
        "tasks",
    ),
    "live": ("display",),
    "mixture_page": ("mixture",),
    "models": (
        "exported",
        "merged",
        "model",
        "steps",
    ),
    "needs": ("probed",),
    "picture_file": ("picture",),
    "planned": ("dry_run",),
    "prepared": (
        "answers",
        "finished",
        "preparation",
    ),
    "publishing": ("published",),
    "rows": (
        "left_out",
        "row",
    ),
    "run_page": ("run",),
    "run_list": ("runs",),
    "runs_compared": ("runs_difference",),
    "stored": (
        "cache",
        "cache_entry",
        "cache_removed",
    ),
    "at_work": ("working",),
}
_HOMES = {name: module for module, names in _PAGES.items() for name in names}

__all__ = [
    "answered",
    "answers",
    "arena",
    "cache",
    "cache_entry",
    "cache_removed",
    "checked",
    "conversation",
    "counting",
    "curves",
    "difference",
    "display",
    "doctor",
    "drawn",
    "dry_run",
    "environment",
    "evaluation",
    "explanation",
    "exported",
    "finished",
    "judged",
    "left_out",
    "merged",
    "mixture",
    "model",
    "picture",
    "preparation",
    "presets",
    "probed",
    "published",
    "recipes",
    "row",
    "run",
    "runs",
    "runs_difference",
    "steps",
    "tasks",
    "working",
]


def __getattr__(name: str) -> Any:
    """A page's function, imported now; kept, so that this is asked once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
