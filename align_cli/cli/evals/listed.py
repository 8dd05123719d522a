"""`align eval ls`: which benchmarks there are."""

from __future__ import annotations

import sys
from typing import Any

import typer

from align_cli import registry
from align_cli.cli import documents
from align_cli.cli.evals import words
from align_cli.errors import PluginError
from align_cli.evals import registered
from align_cli.registry import Entry


def register(app: typer.Typer) -> None:
    """Add the command to `align eval`."""

    @app.command("ls")
    def list_benchmarks(as_json: words.Json = False) -> None:
        """List the benchmarks, built-in ones and those of plugins.

        A broken plugin is listed with what is wrong with it.
        """
        rows = [_described(entry) for entry in registry.entries(registry.BENCHMARKS)]
        if as_json:
            documents.write(rows, sys.stdout)
            return
        from align_cli.cli import render

        render.tasks(rows, what="benchmark")


def summary(name: str) -> str:
    """A benchmark's line of help; of a broken plugin, what is wrong with it."""
    entry = next(entry for entry in registry.entries(registry.BENCHMARKS) if entry.name == name)
    row = _described(entry)
    return str(row["problem"] or row["summary"])


def _described(entry: Entry) -> dict[str, Any]:
    row = {"name": entry.name, "summary": "", "from": entry.distribution or "align", "problem": ""}
    try:
        found = registered.benchmark_of(entry)
    except PluginError as error:
        causes = "; ".join(problem.message for problem in error.problems)
        return row | {"problem": entry.problem or (f"{error.message}: {causes}" if causes else error.message)}
    return row | {"summary": found.summary, "judge": found.judge, "modes": list(found.modes)}
