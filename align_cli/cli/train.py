"""`align train TASK RECIPE [overrides]`: decide once, then execute.

Everything up to the model's folder happens here without torch; the work itself is the worker's.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from align_cli import registry, stdout
from align_cli.cli import complete, documents, known
from align_cli.cli import task as task_command
from align_cli.cli.words import OptionsCommand
from align_cli.errors import DataError, LaunchError, Problem, UsageError
from align_cli.launch.host import Host
from align_cli.recipe import secrets
from align_cli.recipe.schema import Note, Recipe
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
        str, typer.Option("--on", metavar="MACHINE", help="In a dry run, plan for another machine, e.g. 8xH100-80GB.")
    ] = "",
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
    from align_cli.cli import launching, memory
    from align_cli.launch import host as hosts

    rest, host, there = memory.elsewhere(on, launching.in_full(rest), hosts.inspect(), dry_run=dry_run)
    recipe, said = launching.settled(_load(rest, chosen), chosen, rest, host, keep=keep_global_batch)
    said = [*there, *said]
    if dry_run:
        plan_only(recipe, chosen, host, said, as_json=as_json, adapt=adapt, defaults=defaults)
        return
    with stdout.reserved() as result:
        summary = execute(recipe, chosen, host, said, adapt=adapt, restart=restart, prepare_only=prepare, probe=probe)
        finish(summary, result, as_json=as_json)


def plan_only(
    recipe: Recipe,
    task: Task,
    host: Host | None = None,
    said: Sequence[Note] = (),
    *,
    as_json: bool,
    adapt: bool,
    defaults: bool = False,
) -> None:
    """Print what a run would do; nothing is written and nothing heavy imported."""
    from align_cli.cli import dry_run, launching, memory
    from align_cli.launch import adapt as adaptation
    from align_cli.launch import host as hosts
    from align_cli.launch import plan as plans

    host = host or hosts.inspect()
    found = adaptation.mismatches(recipe, host)
    if adapt:
        recipe, found = adaptation.adapted(recipe, found), []
    now = known.before(recipe, task)
    facts, elsewhere, problems = now.facts, now.elsewhere, now.error
    rows = dry_run.expected_rows(recipe, facts)
    if problems is None and rows.get("refused"):
        problems = DataError("the mixture cannot be had", problems=[Problem(str(rows["why"]))])
    num_train = None if recipe.get("packing") else rows["train"]
    need = memory.known_of(recipe, task, host)
    plan = plans.make(recipe, host, Path(recipe.get("output_dir") or "RUN_DIR"), num_train=num_train, fits=need.fit)
    notes = [*adaptation.as_notes(recipe, found), *elsewhere, *said, *launching.notes(recipe, host)]
    notes += memory.notes(need, plan)
    notes += [Note("mixture", line) for line in dict.fromkeys(line for fact in facts for line in fact.notes)]
    notes += known.of_output(recipe, plan.global_batch_size)
    view = dry_run.document(recipe, host=host, plan=plan, facts=facts, rows=rows, notes=notes)
    view["memory"] = memory.document(need, plan)
    view["time"] = memory.time_of(need, task, plan)
    if not as_json:
        from align_cli.cli import render

        render.dry_run(view, sys.stdout, defaults=defaults)
    if problems:
        raise problems
    if as_json:
        documents.write(view, sys.stdout)


def execute(
    recipe: Recipe,
    task: Task,
    host: Host | None = None,
    said: Sequence[Note] = (),
    *,
    adapt: bool = False,
    restart: bool = False,
    prepare_only: bool = False,
    probe: bool = False,
) -> dict[str, Any]:
    """Prepare the data, make the run folder, train; the value is the summary for `finish`."""
    from align_cli.cli import launching, machines, render
    from align_cli.launch import adapt as adaptation
    from align_cli.launch import host as hosts
    from align_cli.launch import plan as plans

    started = time.monotonic()
    host = host or hosts.inspect()
    found = adaptation.mismatches(recipe, host)
    if adapt:
        recipe = adaptation.adapted(recipe, found)
    elif found:
        raise LaunchError(
            f"this machine cannot do what {recipe.path or 'the recipe'} asks for",
            problems=adaptation.as_problems(recipe, found),
            hint="--adapt uses the values named here",
        )
    launching.demand(recipe, host)
    if obstacle := known.before(recipe, task).obstacle:
        raise obstacle

    # Imported this late because help and dry runs need none of it.
    from align_cli import worker
    from align_cli.cli import memory
    from align_cli.models.locate import locate_for
    from align_cli.runs import directory
    from align_cli.tasks.preparing.tokens import prepare_for

    worker.silence()
    batch = plans.make(recipe, host, Path(recipe.get("output_dir") or "RUN_DIR")).global_batch_size
    run = directory.open_run(recipe, restart=restart, global_batch=batch)
    if run.state == "finished" and not probe:
        return _already_done(run, task)
    _say(f"{run.path}: {'resuming from ' + Path(run.checkpoint).name if run.checkpoint else 'a new run'}")
    for note in (*recipe.notes, *said, *run.notes):
        _say(f"note: {note}")
    model = locate_for(recipe, say=_say)
    prepared = prepare_for(task, recipe, model, say=_say)
    tokens = (prepared.report.get("tokens") or {}).get("train")
    need = memory.known_of(recipe, task, host, folder=model)
    plan = plans.make(recipe, host, run.path, num_train=prepared.num_train, tokens=tokens, fits=need.fit)
    for note in memory.notes(need, plan):
        _say(f"note: {note}")
    if probe:
        from align_cli.cli import probing

        return {"task": task.name, **probing.probe(recipe, plan, prepared, model, host, need, say=_say)}
    render.preparation(prepared.report, plan.as_dict(), sys.stderr, from_store=prepared.from_store)
    link = machines.meet(plan, recipe, prepared, model, say=_say)
    machines.seal(link, run, recipe, plan, prepared, model)
    if prepare_only:
        return _prepared(run.path, task, plan.command)
    # The sealed recipe holds no secrets: the worker finds them in its environment.
    os.environ.update({name: value for name, value in recipe.env.items() if secrets.is_secret(name)})
    with render.display() as display:
        metrics, facts = launching.work(run.path, plan, recipe, display, link=link, own=(prepared.folder, model))
    memory.remember_time(need, task, plan, metrics, facts, run.path)
    return {
        "title": "Finished",
        "state": "finished",
        "task": task.name,
        "run": str(run.path),
        "resumed": run.state == "resume",
        "metrics": dict(metrics),
        "facts": dict(facts),
        "digest": prepared.digest,
        "seconds": round(time.monotonic() - started, 1),
        "next": _next(run.path),
    }


def _prepared(run: Path, task: Task, command: str) -> dict[str, Any]:
    return {
        "title": "Prepared: nothing was trained yet",
        "state": "prepared",
        "task": task.name,
        "run": str(run),
        "command": command,
        "metrics": {},
        "next": [command, "or the same align train command without --prepare"],
    }


def finish(summary: dict[str, Any], result: TextIO, *, as_json: bool) -> None:
    """Write the run's result to the real stdout: one JSON document, or a few lines."""
    if as_json:
        document = {key: value for key, value in summary.items() if key not in ("title", "next")}
        documents.write(document, result)
        return
    from align_cli.cli import render

    show = render.probed if summary["state"] == "probed" else render.finished
    show(summary, result)


def _help(ctx: typer.Context, task: str | None) -> None:
    """Without a task: the command's own help and the tasks. With one: also every key."""
    sys.stdout.write(ctx.get_help() + "\n")
    if task is None:
        names = ", ".join(registry.names(registry.TASKS))
        sys.stdout.write(f"\nTasks: {names}\n")
        return
    from align_cli.cli import keys
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


def _already_done(run: Any, task: Task) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    results = Path(run.path) / "all_results.json"
    if results.is_file():
        metrics = json.loads(results.read_text(encoding="utf-8"))
    return {
        "title": "Already finished: nothing was done",
        "state": "already finished",
        "task": task.name,
        "run": str(run.path),
        "metrics": metrics,
        "next": ["--restart trains it anew and keeps the old folder"],
    }


def _next(path: Path) -> list[str]:
    return [f"{path}/README.md tells what it was made of", f"transformers loads it from {path}"]


def _say(line: str) -> None:
    from align_cli.cli.errors import without_secrets

    sys.stderr.write(without_secrets(line) + "\n")
    sys.stderr.flush()
