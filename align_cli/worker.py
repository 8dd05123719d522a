"""`python -m align_cli.worker RUN_DIR`: does what a sealed run directory says, and declares it finished.

The recipe was decided by the parent; it is checked against its digest and never interpreted again. Of several workers
the first speaks and writes for all.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from align_cli.errors import AlignError, Interrupted, LaunchError, PluginError, UsageError
from align_cli.files import read_json, write_json
from align_cli.launch import ranks
from align_cli.launch.ranks import Place
from align_cli.launch.workers import crew, events, supervise
from align_cli.recipe import secrets
from align_cli.recipe.decode import decode
from align_cli.recipe.schema import Recipe
from align_cli.runs import directory, manifest
from align_cli.runs.card import write as card
from align_cli.runs.directory import OURS, PLAN, RECIPE
from align_cli.runs.push import publish
from align_cli.tasks import registered
from align_cli.tasks.task import Context, Progress, Result

#: Variables by which another machine than the first is told where it has what `plan.json` names.
OWN_DATA, OWN_MODEL = "ALIGN_DATA", "ALIGN_MODEL"
#: Off unless the user has said otherwise: nobody is told that a model is being trained.
_QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


def run(
    run_dir: Path,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = lambda line: None,
) -> Result:
    """Train what `runs.directory.seal` wrote into `run_dir`, then write card, manifest, and push if asked.

    A failure leaves `align/failure-RANK.json`; the next attempt removes it.

    Raises:
        AlignError: what went wrong, in words for the user; any other exception is a defect.
    """
    place = ranks.here()
    failure = directory.failure_file(run_dir, place.rank)
    recipe, plan = _read(run_dir)
    _demand_company(plan["plan"], place, run_dir)
    _set_environment(recipe, plan)
    os.environ.update(place.as_environment() if place.world_size > 1 else {})
    if place.is_first and crew.SUPERVISED not in os.environ:
        directory.lock(run_dir)
    failure.unlink(missing_ok=True)
    try:
        return _work(run_dir, recipe, plan, place, on_progress, say)
    except Interrupted:
        raise
    except Exception as cause:
        _leave(failure, cause)
        raise
    finally:
        directory.release(run_dir)


def silence() -> None:
    """Turn the libraries' telemetry off, unless the user has said otherwise; call before any of them is imported."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def _demand_company(plan: dict[str, Any], place: Place, run_dir: Path) -> None:
    """The plan's batch arithmetic holds for its number of processes only.

    Raises:
        LaunchError: there are more or fewer.
    """
    wanted = int(plan.get("num_processes", 1))
    if wanted == place.world_size:
        return
    hint = f"start them with: {plan['command']}" if plan.get("command") else "align train starts them"
    raise LaunchError(
        f"{run_dir} is planned for {wanted} process{'es' if wanted > 1 else ''}, and {place.world_size} "
        f"{'were' if place.world_size > 1 else 'was'} started",
        hint=hint,
    )


def _work(
    run_dir: Path,
    recipe: Recipe,
    plan: dict[str, Any],
    place: Place,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> Result:
    task = registered.named(recipe.task)
    warnings: list[str] = []

    def note(line: str) -> None:
        if line.startswith("warning: "):
            warnings.append(line.removeprefix("warning: "))
        say(line)

    result = task.run(
        Context(
            recipe=recipe,
            run_dir=run_dir,
            data=Path(os.environ.get(OWN_DATA) or plan["data"]),
            model=Path(os.environ.get(OWN_MODEL) or plan["model"]),
            strategy=plan["plan"].get("strategy", "single"),
            offload=plan["plan"].get("offload", "none"),
            on_progress=on_progress,
            say=note,
        )
    )
    if not place.is_first:
        return result
    try:
        card.write(run_dir, recipe, metrics=result.metrics, facts=result.facts)
    except Exception as cause:  # noqa: BLE001 - the model is saved: a card is not worth failing for
        note(f"warning: the model card could not be written: {cause}")
    document = manifest.build(run_dir, recipe, metrics=result.metrics, facts=result.facts, warnings=warnings)
    manifest.write(run_dir, document)
    if recipe.values.get("push_to_hub"):
        _push(run_dir, recipe, note)
        if warnings != document["warnings"]:
            manifest.amend(run_dir, warnings=warnings)
    return result


def _push(run_dir: Path, recipe: Recipe, note: Callable[[str], None]) -> None:
    """Push the finished run; whatever a network can do is a warning."""
    try:
        done = publish.publish(run_dir, publish.wish_of(recipe), say=note, check_files=False)
        note(f"published: {done.address}")
    except Interrupted:
        raise
    except AlignError as cause:
        why = f" ({cause.hint})" if cause.hint else ""
        note(f"warning: the model is saved, but was not pushed to the Hub: {cause.message}{why}")
        note(f"align model push {run_dir} pushes it later")
    except Exception as cause:  # noqa: BLE001 - a defect in pushing must not undo a training
        note(f"warning: the model is saved, but was not pushed to the Hub: {type(cause).__name__}: {cause}")
        note(f"align model push {run_dir} pushes it later")


def _read(run_dir: Path) -> tuple[Recipe, dict[str, Any]]:
    """Recipe and plan of a sealed run.

    Raises:
        UsageError: the folder was not sealed, or the recipe in it was changed afterwards.
    """
    try:
        plan = read_json(run_dir / OURS / PLAN)
        text = (run_dir / OURS / RECIPE).read_bytes()
    except FileNotFoundError as cause:
        raise UsageError(
            f"{run_dir} is not a run directory: it has no {OURS}/{Path(cause.filename).name}",
            hint="align train makes one",
        ) from cause
    if hashlib.sha256(text).hexdigest() != plan["recipe_sha256"]:
        raise UsageError(
            f"{run_dir / OURS / RECIPE} was changed after it was decided",
            hint="change the recipe instead and run align train",
        )
    return decode(json.loads(text)), plan


def _set_environment(recipe: Recipe, plan: dict[str, Any]) -> None:
    """Before anything imports torch: what the user set, what the recipe says, what the plan needs, and silence."""
    for name, value in recipe.env.items():
        if value or name not in os.environ:
            os.environ[name] = value
    os.environ.update(plan["plan"].get("env") or {})
    silence()
    if plan["plan"].get("device") == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed, where it is installed, would warn of no GPU
    # The rows are tokens by now; without this, data loader processes warn that they were forked after tokenising.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _leave(path: Path, cause: Exception) -> None:
    """Write what failed beside the run; a full disk must not hide the first error."""
    if isinstance(cause, AlignError):
        document = cause.as_dict()
        if isinstance(cause, PluginError):  # its author needs more than its message
            document["traceback"] = "".join(traceback.format_exception(cause))
    else:
        document = {"type": type(cause).__name__, "message": str(cause), "traceback": traceback.format_exc()}
    hidden = tuple(value for name, value in os.environ.items() if secrets.is_secret(name) and value)
    with contextlib.suppress(OSError):
        write_json(path, json.loads(secrets.scrub(json.dumps(document, default=str), hidden)))


def main(argv: list[str]) -> int:
    """The command: talk on stderr, or to whoever started it; the exit code of the error tree."""
    if len(argv) != 1:
        sys.stderr.write("usage: python -m align_cli.worker RUN_DIR\n")
        return 2
    supervise.die_with_parent()
    place, teller = ranks.here(), events.teller()

    def say(line: str) -> None:
        if teller is not None and (place.is_first or line.startswith("warning: ")):
            teller.tell("say", line)
        if teller is None and place.is_first:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    def progress(moment: Progress) -> None:
        if teller is not None:
            teller.tell("progress", dataclasses.asdict(moment))
        elif "loss" in moment.metrics:
            say(f"step {moment.step}/{moment.num_steps}: loss {moment.metrics['loss']:.4f}")

    try:
        result = run(Path(argv[0]), on_progress=progress if place.is_first else lambda moment: None, say=say)
    except AlignError as error:
        _report(error, teller, place)
        return error.exit_code
    if teller is not None and place.is_first:
        teller.tell("result", {"metrics": dict(result.metrics), "facts": dict(result.facts)})
    return 0


def _report(error: AlignError, teller: events.Teller | None, place: Place) -> None:
    """The error for a log, and an orderly stop for whoever started us; a failure they find in its file."""
    if teller is not None and isinstance(error, Interrupted):
        teller.tell("stopped", error.as_dict())
    lines = [f"error: {error.message}", *(f"  {problem}" for problem in error.problems)]
    lines += [f"hint: {error.hint}"] if error.hint else []
    if teller is not None or place.is_first or not isinstance(error, Interrupted):
        sys.stderr.write("\n".join(lines) + "\n")


def _leave_for_good(code: int) -> None:
    """End this process without tearing the libraries' threads down, after all that wants to be told of an end.

    One of several processes otherwise aborts now and then: threads that talked to the others are still there when
    C++ destroys them ("terminate called without an active exception", torch 2.13 with gloo).
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    outcome = main(sys.argv[1:])
    if ranks.here().world_size > 1:
        _leave_for_good(outcome)
    sys.exit(outcome)
