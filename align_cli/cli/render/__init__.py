"""Typed values as tables and live displays: the only part of `align` that imports rich.

Import it inside the command that prints a table; help and errors do without.
"""

from align_cli.cli.render.lists import checked, doctor, recipes, tasks
from align_cli.cli.render.live import display
from align_cli.cli.render.planned import dry_run
from align_cli.cli.render.prepared import answers, finished, preparation

__all__ = [
    "answers",
    "checked",
    "display",
    "doctor",
    "dry_run",
    "finished",
    "preparation",
    "recipes",
    "tasks",
]
