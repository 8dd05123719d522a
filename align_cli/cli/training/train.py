"""`align train TASK RECIPE [overrides]`: the command's words, and its help."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from align_cli import registry, stdout
from align_cli.cli import complete
from align_cli.cli.recipes import task as task_command
from align_cli.cli.words import OptionsCommand
from align_cli.errors import UsageError
from align_cli.recipe.schema import Recipe
from align_cli.tasks.task import Task

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,  # `--learning_rate 1e-5` is a word of ours; the recipe checks it
        "help_option_names": [],
        "max_content_width": 100,
    },
)


@app.command(
    cls=OptionsCommand, epilog="align train TASK --help lists every key of the task, with type, default and help."
)
def train(
    ctx: typer.Context,
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help="What to do, e.g. sft.", autocompletion=complete.tasks)
    ] = None,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE [KEY=VALUE]",
            help="A recipe (file or shipped name), then overrides: key=value, --key=value, --key value.",
            autocompletion=complete.words,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, resolve and plan; touch nothing.")] = False,
    defaults: Annotated[bool, typer.Option("--defaults", help="In a dry run, list every default as well.")] = False,
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Replace what this machine cannot do by the nearest it can.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start anew; the old run folder is moved aside, not deleted.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    keep_global_batch: Annotated[
        bool,
        typer.Option("--keep-global-batch", help="Keep the rows of a step when the number of processes differs."),
    ] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Do all but the work, and say how to start it with another launcher.")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="MACHINE", help="In a dry run, plan for another machine, e.g. 8xH100-80GB."),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Try the longest step, an evaluation and a save; then leave no trace.")
    ] = False,
    show_help: Annotated[bool, typer.Option("--help", "-h", help="Show this, or all keys of TASK.")] = False,
) -> None:
    """Train a model from a recipe, or plan it with --dry-run."""
    name, rest = (ctx.args[0], ctx.args[1:]) if ctx.args else (None, [])
    if name is None and as_json and not show_help:
        raise UsageError("no task is named", hint="align train TASK RECIPE; align task ls lists the tasks")
    if show_help or name is None:
        _help(ctx, name)
        raise typer.Exit(0 if show_help else UsageError.exit_code)
    chosen = _task(name, rest)
    if not rest:
        raise UsageError("no recipe is named", hint=f"align train {name} RECIPE; align recipe ls lists those shipped")
    if probe and (dry_run or prepare):
        raise UsageError(f"--probe and {'--dry-run' if dry_run else '--prepare'} exclude each other", hint="keep one")
    from align_cli.cli.training import launching, memory, running
    from align_cli.launch import host as hosts

    rest, host, there = memory.elsewhere(on, rest, hosts.inspect(), dry_run=dry_run)
    recipe, said = launching.settled(_load(rest, chosen), chosen, rest, host, keep=keep_global_batch)
    said = [*there, *said]
    if dry_run:
        running.plan_only(recipe, chosen, host, said, as_json=as_json, adapt=adapt, restart=restart, defaults=defaults)
        return
    with stdout.reserved() as result:
        summary = running.execute(
            recipe, chosen, host, said, adapt=adapt, restart=restart, prepare_only=prepare, probe=probe
        )
        running.finish(summary, result, as_json=as_json)


def _help(ctx: typer.Context, task: str | None) -> None:
    """Without a task: the command's own help and the tasks. With one: also every key."""
    from align_cli.cli.training import launching

    said = f"{ctx.get_help()}\n\nLaunching, or the same words in the recipe's launch: block:\n"
    sys.stdout.write(f"{said}{launching.options(sys.stdout)}\n")
    if task is None:
        names = ", ".join(registry.names(registry.TASKS))
        sys.stdout.write(f"\nTasks: {names}\n")
        return
    from align_cli.cli.recipes import keys
    from align_cli.recipe.fields import fields_of

    chosen = task_command.get(task)
    sys.stdout.write(f"\n{chosen.name}: {chosen.summary}\n\n{keys.all_keys(fields_of(chosen.configs), sys.stdout)}\n")


def _task(name: str, words: Sequence[str]) -> Task:
    """The task; a recipe in its place gets the whole command line as a hint."""
    try:
        return task_command.get(name)
    except UsageError as error:
        if type(error) is UsageError and (Path(name).suffix in (".yaml", ".yml") or "/" in name):
            guess = _task_of(name) or "TASK"
            rest = " ".join([name, *words])
            raise UsageError(
                f'there is no task "{name}": it looks like a recipe', hint=f"align train {guess} {rest}"
            ) from None
        raise


def _task_of(path: str) -> str | None:
    from align_cli.recipe import infer

    return infer.task_of(path, (), registry.plugins(registry.TASKS))


def _load(words: Sequence[str], task: Task) -> Recipe:
    from align_cli.recipe import load

    return load.load(words, task)
