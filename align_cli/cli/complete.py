"""What the shell offers after TAB: tasks, recipes, keys. Errors while completing offer nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from align_cli import registry

_DEFAULT_TASK = "sft"


def tasks(incomplete: str) -> list[str]:
    """Task names."""
    return [name for name in registry.names(registry.TASKS) if name.startswith(incomplete)]


def recipes(incomplete: str) -> list[str]:
    """Shipped recipes by name, and recipe files and folders here."""
    try:
        from align_cli.recipe import shipped

        names = [name for name in shipped.names() if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001  a traceback in the middle of a command line helps nobody
        names = []
    return names + _paths(incomplete)


def keys(ctx: typer.Context, incomplete: str) -> list[str]:
    """Keys of the task that is named on the line."""
    try:
        from align_cli.recipe.fields import fields_of

        task = registry.get(registry.TASKS, str(ctx.params.get("name") or ctx.params.get("task") or _DEFAULT_TASK))
        return [key for key in fields_of(task.configs) if key.startswith(incomplete.lstrip("-").replace("-", "_"))]
    except Exception:  # noqa: BLE001
        return []


def words(ctx: typer.Context, incomplete: str) -> list[str]:
    """The words of `align train TASK`: a recipe first, then overrides."""
    if incomplete.startswith("--"):
        return [f"--{key}" for key in keys(ctx, incomplete)]
    given = ctx.params.get("words") or ()
    has_recipe = any("=" not in word and not word.startswith("-") for word in given)
    overrides = [f"{key}=" for key in keys(ctx, incomplete)] if incomplete or has_recipe else []
    return ([] if has_recipe else recipes(incomplete)) + overrides


def _paths(incomplete: str) -> list[str]:
    folder, _, start = incomplete.rpartition("/")
    base = Path(folder or ("/" if incomplete.startswith("/") else "."))
    try:
        found: Iterable[Path] = sorted(base.iterdir())
    except OSError:
        return []
    prefix = f"{folder}/" if "/" in incomplete else ""
    return [
        f"{prefix}{path.name}{'/' if path.is_dir() else ''}"
        for path in found
        if path.name.startswith(start) and (path.is_dir() or path.suffix in (".yaml", ".yml"))
        if start or not path.name.startswith(".")
    ]
