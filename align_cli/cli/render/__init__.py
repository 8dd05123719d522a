"""Typed values as tables and live displays: the only part of `align` that imports rich.

Import it inside the command that prints a table; help and errors do without.
"""

from align_cli.cli.render.chatting import conversation
from align_cli.cli.render.compared import difference, explanation
from align_cli.cli.render.counting import counting
from align_cli.cli.render.curves import curves, drawn
from align_cli.cli.render.evals.arena import arena
from align_cli.cli.render.evals.report import evaluation
from align_cli.cli.render.evals.steps import answered, judged
from align_cli.cli.render.launching import environment, presets
from align_cli.cli.render.lists import checked, doctor, recipes, tasks
from align_cli.cli.render.live import display
from align_cli.cli.render.mixture import mixture
from align_cli.cli.render.models import exported, merged, model, steps
from align_cli.cli.render.needs import probed
from align_cli.cli.render.picture import picture
from align_cli.cli.render.planned import dry_run
from align_cli.cli.render.prepared import answers, finished, preparation
from align_cli.cli.render.published import published
from align_cli.cli.render.rows import left_out, row
from align_cli.cli.render.run import run
from align_cli.cli.render.runs import runs
from align_cli.cli.render.runs_compared import runs_difference
from align_cli.cli.render.stored import cache, cache_entry, cache_removed
from align_cli.cli.render.working import working

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
