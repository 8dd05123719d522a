"""What `align train` does with a recipe that is right: show the plan, or prepare the data and see the work through.

Everything up to the model's folder happens here without torch; the work itself is the workers'.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from align_cli.cli import documents
from align_cli.cli.training import known
from align_cli.errors import DataError, LaunchError, Problem
from align_cli.launch.host import Host
from align_cli.recipe import secrets
from align_cli.recipe.schema import Note, Recipe
from align_cli.tasks.task import Task


def plan_only(
    recipe: Recipe,
    task: Task,
    host: Host | None = None,
    said: Sequence[Note] = (),
    *,
    as_json: bool,
    adapt: bool,
    restart: bool = False,
    defaults: bool = False,
) -> None:
    """Print what a run would do; nothing is written and nothing heavy imported."""
    from align_cli.cli.training import dry_run, launching, memory
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
    notes += known.of_output(recipe, plan.global_batch_size, restart=restart)
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
    from align_cli.cli import render
    from align_cli.cli.training import launching, machines
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
    if not (prepare_only or probe):
        launching.demand_ports(recipe, host)
    if obstacle := known.before(recipe, task).obstacle:
        raise obstacle

    # Imported this late because help and dry runs need none of it.
    from align_cli import worker
    from align_cli.cli.training import memory
    from align_cli.models.locate import locate_for
    from align_cli.runs import directory
    from align_cli.tasks.preparing.tokens import prepare_for

    worker.silence()
    need = memory.known_of(recipe, task, host)
    intended = plans.make(recipe, host, Path(recipe.get("output_dir") or "RUN_DIR"), fits=need.fit)
    run = directory.open_run(recipe, restart=restart, global_batch=intended.global_batch_size)
    launching.demand_same_kind(run, intended)
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
        from align_cli.cli.training import probing

        return {"task": task.name, **probing.probe(recipe, plan, prepared, model, host, need, say=_say)}
    render.preparation(prepared.report, plan.as_dict(), sys.stderr, from_store=prepared.from_store)
    link = None if prepare_only else machines.meet(plan, recipe, prepared, model, say=_say)
    machines.seal(link, run, recipe, plan, prepared, model)
    if prepare_only:
        return _prepared(run.path, task, plan.command)
    # The sealed recipe holds no secrets: the worker finds them in its environment.
    os.environ.update({name: value for name, value in recipe.env.items() if secrets.is_secret(name)})
    with render.display() as display:
        metrics, facts = launching.work(run.path, plan, recipe, display, link=link, own=(prepared.folder, model))
    if plan.machine_rank:
        return _elsewhere(run.path, task, plan.main_process)
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
        "next": _next(run.path, recipe),
    }


def _elsewhere(run: Path, task: Task, where: str) -> dict[str, Any]:
    """The end of another machine than the first."""
    return {
        "title": "Finished: this machine has done its part",
        "state": "finished elsewhere",
        "task": task.name,
        "run": str(run),
        "metrics": {},
        "next": [f"the model is on machine 0 ({where})"],
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


def _next(path: Path, recipe: Recipe) -> list[str]:
    from align_cli.models.speaking.opening import can_converse

    told = [f"align chat {path}"] if can_converse(path) else []
    told.append(f"align runs show {path} --curves tells how it went, {path}/README.md what it was made of")
    if recipe.get("use_peft") and recipe.get("use_dora"):
        # transformers 5.23 opens the adapter too, but not DoRA's magnitudes: its load report calls them unexpected.
        return [*told, f"peft loads it from {path}; for transformers: align model merge {path} MERGED"]
    return [*told, f"transformers loads it from {path}"]


def _say(line: str) -> None:
    from align_cli.cli.errors import without_secrets

    sys.stderr.write(without_secrets(line) + "\n")
    sys.stderr.flush()
