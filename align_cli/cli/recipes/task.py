"""`align task`: which tasks there are, which keys a recipe may set for each, and how to begin one of your own."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from align_cli import registry
from align_cli.cli import complete, documents
from align_cli.cli.recipes import keys
from align_cli.errors import PluginError, UsageError
from align_cli.tasks import registered
from align_cli.tasks.task import Task

app = typer.Typer(
    help="List the tasks, show the keys of each, and write new ones.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command("ls")
def list_tasks(as_json: _Json = False) -> None:
    """List the tasks, built-in ones and those of plugins.

    A broken plugin is listed with what is wrong with it.
    """
    rows = [_described(entry) for entry in registry.entries(registry.TASKS)]
    if as_json:
        documents.write(rows, sys.stdout)
        return
    from align_cli.cli import render

    render.tasks(rows)


@app.command("show")
def show_task(
    name: Annotated[str, typer.Argument(help="The task, e.g. sft.", autocompletion=complete.tasks)],
    field: Annotated[
        str | None, typer.Argument(help="One key, with all that is known of it.", autocompletion=complete.keys)
    ] = None,
    as_json: _Json = False,
) -> None:
    """Print the keys a recipe may set for a task.

    With type, default and help.
    """
    from align_cli.recipe.fields import fields_of

    task = get(name)
    fields = fields_of(task.configs)
    if field is None:
        document: Any = [keys.as_dict(item) for item in fields.values()]
        text = f"{task.name}: {task.summary}\n\n{keys.all_keys(fields, sys.stdout)}"
    else:
        wanted = field.lstrip("-").replace("-", "_")
        if wanted not in fields:
            raise UsageError(f'{name} has no key "{field}"', hint=suggestion(wanted, fields))
        meanings = task.values(wanted)
        document = keys.as_dict(fields[wanted]) | {"values": dict(meanings)}
        text = keys.one_key(fields[wanted], sys.stdout, meanings)
    if as_json:
        documents.write(document, sys.stdout)
    else:
        sys.stdout.write(text + "\n")


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The task's name, e.g. distil.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Where; it must be empty or absent. Default: align-NAME.")
    ] = None,
    like: Annotated[
        str, typer.Option("--like", metavar="sft|dpo", help="A task on conversations, or on pairs of answers.")
    ] = "sft",
    as_json: _Json = False,
) -> None:
    """Write a task of your own.

    A package that installs, tests itself and trains as it is written.
    """
    from align_cli.cli.recipes import task_new

    written = task_new.write(name, folder, like=like)
    if as_json:
        documents.write({**asdict(written), "folder": str(written.folder)}, sys.stdout)
        return
    sys.stdout.write("".join(f"{written.folder / file}\n" for file in written.files))
    sys.stderr.write("".join(f"{'next:' if not n else '     '} {line}\n" for n, line in enumerate(written.next)))


def get(name: str) -> Task:
    """The task of that name.

    Raises:
        UsageError: there is none.
        PluginError: its plugin is broken, or registered something else.
    """
    return registered.named(name)


def suggestion(name: str, known: Any) -> str:
    """What it is called here, near names, or where the list is; never 160 names in one line."""
    from align_cli.recipe import renames

    return renames.suggestion(name, known) or "align task show TASK lists them all"


def _described(entry: registry.Entry) -> dict[str, Any]:
    row = {"name": entry.name, "summary": "", "from": entry.distribution or "align", "problem": ""}
    try:
        task = registered.task_of(entry)
    except PluginError as error:
        causes = "; ".join(problem.message for problem in error.problems)
        return row | {"problem": entry.problem or (f"{error.message}: {causes}" if causes else error.message)}
    return row | {"summary": task.summary, "rows": list(task.rows)}
