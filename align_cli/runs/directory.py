"""The run directory: whose it is, in which state, and what is written before the work begins.

`open_run` only looks. `seal` is the one that writes, after the data and the model are known to be good, so that a
mistake leaves no folder behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from align_cli.errors import RecipeError, UsageError
from align_cli.files import move_aside, obstacle, read_json, write_json, write_text
from align_cli.recipe import secrets
from align_cli.recipe.decode import decode, encode
from align_cli.recipe.schema import Note, Recipe
from align_cli.runs import checkpoints, identity

OURS = "align"
RECIPE, PLAN, MANIFEST, MIXTURE, PREPARATION = (
    "recipe.json",
    "plan.json",
    "manifest.json",
    "mixture.json",
    "preparation.json",
)
_LOCK = "lock"
_PAUSES = (0.01, 0.02, 0.05)  # seconds between tries to take it
_UPSTREAM_DEFAULT = "trainer_output"  # transformers' own, when nobody says where to write
_MODEL_FILES = ("config.json", "adapter_config.json", "model.safetensors", "model.safetensors.index.json")
#: Locks this process holds, by folder: `worker.run` in the same process meets its own.
_held: dict[Path, IO[str]] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run directory as it was found."""

    path: Path
    state: Literal["new", "resume", "finished"]
    checkpoint: Path | None
    """Where training will go on from."""
    notes: tuple[Note, ...] = ()
    move_aside: bool = False
    """The folder holds an earlier run that `seal` will rename, not delete."""


def open_run(recipe: Recipe, *, restart: bool = False, global_batch: int | None = None) -> Run:
    """What the recipe's `output_dir` holds, and whether this recipe may use it. Nothing is written.

    `global_batch`: rows of one optimiser step; with it, a run may go on with another number of processes.

    Raises:
        RecipeError: the folder belongs to another recipe; `problems` has the keys that differ.
        UsageError: it cannot be written to, another process is using it, or something else lives there.
    """
    path = Path(recipe.get("output_dir") or _UPSTREAM_DEFAULT).expanduser()
    if path.exists() and not path.is_dir():
        raise UsageError(f"output_dir: {path} is a file", hint="name a folder")
    _demand_writable(path)
    occupied = path.is_dir() and any(path.iterdir())
    if occupied:
        _demand_unlocked(path)
    if restart and occupied:
        _demand_movable(path)
        return Run(path=path, state="new", checkpoint=None, move_aside=True)
    if (path / OURS / PLAN).is_file():
        return _ours(path, recipe, global_batch)
    return _foreign(path, recipe) if occupied else _fresh(path, recipe)


def seal(run: Run, recipe: Recipe, plan: Mapping[str, Any], prepared: Any, model: Path) -> None:
    """Make the folder this recipe's: take the lock, write the recipe as decided and the plan, last of all.

    `prepared` is the task's `Prepared`. The recipe's environment is set in this process: secrets are in no file, and
    a worker finds them there. On resuming, the data must be those the run began with.

    Raises:
        RecipeError: the data or the model are not those of the first attempt.
        UsageError: another process has taken the folder meanwhile, or it cannot be written to.
    """
    ours = run.path / OURS
    try:
        if run.move_aside:
            release(run.path)
            move_aside(run.path)
        ours.mkdir(parents=True, exist_ok=True)
        lock(run.path)
        if run.state == "resume":
            _demand_same_data(ours, prepared, model)
        os.environ.update(recipe.env)
        hidden = tuple(value for name, value in recipe.env.items() if secrets.is_secret(name) and value)
        text = json.dumps(encode(recipe), indent=2, ensure_ascii=False) + "\n"
        text = secrets.scrub(text, hidden)
        write_text(ours / "recipe.yaml", secrets.scrub(recipe.text, hidden))
        write_text(ours / "overrides.txt", secrets.scrub("".join(f"{word}\n" for word in recipe.overrides), hidden))
        write_text(ours / RECIPE, text)
        (ours / RECIPE).chmod(0o444)
        write_json(ours / MIXTURE, dict(prepared.report.get("mixture") or {}))
        write_json(ours / PREPARATION, dict(prepared.report))
        write_json(
            ours / PLAN,
            {
                "plan": dict(plan),
                "recipe_sha256": hashlib.sha256(text.encode()).hexdigest(),
                "model": str(model),
                "data": str(prepared.folder),
                "data_digest": prepared.digest,
            },
        )
    except OSError as cause:
        raise UsageError(
            f"output_dir: {run.path} cannot be written to: {cause.strerror or cause}", hint="choose another output_dir"
        ) from cause


def lock(path: Path) -> None:
    """Claim a run directory for this process until it ends; again in the same process is a no-op.

    Raises:
        UsageError: another process has it.
    """
    path = path.resolve()
    if path in _held:
        return
    file = (path / OURS / _LOCK).open("a+", encoding="utf-8")
    if not _claim(file):
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise _in_use(path, holder)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    _held[path] = file


def failure_file(path: Path, rank: int) -> Path:
    """Where the process of that rank leaves what went wrong with it."""
    return path / OURS / f"failure-{rank}.json"


def is_at_work(path: Path) -> bool:
    """Whether a live process, this one included, holds the run directory; the kernel frees it when its holder dies."""
    import fcntl

    if path.resolve() in _held:
        return True
    try:
        with (path / OURS / _LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no lock file, or a file system without locks
        return False
    return False


def release(path: Path) -> None:
    """Give a run directory back before the process ends."""
    if file := _held.pop(path.resolve(), None):
        file.close()


def _fresh(path: Path, recipe: Recipe) -> Run:
    start = checkpoints.to_start_from(path, recipe)
    return Run(path=path, state="new", checkpoint=start, notes=_note_on_start(start))


def global_batch_of(recipe: Recipe) -> int | None:
    """Rows of one optimiser step of the run that the recipe's `output_dir` holds; None where there is none."""
    found = plan_of(Path(recipe.get("output_dir") or _UPSTREAM_DEFAULT).expanduser()).get("global_batch_size")
    return int(found) if found is not None else None


def plan_of(path: Path) -> dict[str, Any]:
    """The plan of the attempt that a run directory was sealed for last; empty where there is none."""
    try:
        return dict(read_json(path / OURS / PLAN)["plan"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _ours(path: Path, recipe: Recipe, global_batch: int | None) -> Run:
    """A folder that an earlier attempt has sealed."""
    try:
        old = decode(read_json(path / OURS / RECIPE))
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise UsageError(
            f"output_dir: {path} holds a run whose recipe this version cannot read",
            hint="choose another output_dir, or --restart moves the old folder aside",
        ) from cause
    before = global_batch_of(recipe)
    batches = (before, global_batch) if before is not None and global_batch is not None else None
    began = plan_of(path).get("num_processes")
    if problems := identity.differences(old, recipe, batches=batches, processes=began):
        headline = f"output_dir: {path} belongs to another recipe"
        if batches is not None and batches[0] != batches[1] and len(problems) == 1:
            headline = (
                f"output_dir: the run in {path} was begun with {batches[0]} rows a step, and now it is {batches[1]}"
            )
        raise RecipeError(
            headline,
            problems=problems,
            hint="choose another output_dir, or --restart moves the old folder aside",
        )
    notes = tuple(identity.notes(old, recipe))
    if (path / OURS / MANIFEST).is_file():
        return Run(path=path, state="finished", checkpoint=None, notes=notes)
    if recipe.values.get("resume_from_checkpoint") is False:
        note = Note("resume_from_checkpoint", "resume_from_checkpoint is false: the unfinished run is moved aside")
        _demand_movable(path)
        return Run(path=path, state="new", checkpoint=None, notes=(*notes, note), move_aside=True)
    start = checkpoints.to_start_from(path, recipe)
    if start is None:
        note = Note("output_dir", "the earlier attempt left no whole checkpoint: training begins again")
        return Run(path=path, state="new", checkpoint=None, notes=(*notes, note))
    return Run(path=path, state="resume", checkpoint=start, notes=notes)


def _foreign(path: Path, recipe: Recipe) -> Run:
    """A folder with something in it that `align` did not put there."""
    start = checkpoints.to_start_from(path, recipe)
    if start is not None:
        return Run(path=path, state="new", checkpoint=start, notes=_note_on_start(start))
    model = next((name for name in _MODEL_FILES if (path / name).exists()), None)
    if found := model or next((checkpoint.name for checkpoint in checkpoints.in_folder(path)), None):
        raise UsageError(
            f"output_dir: {path} already holds {found}, which align did not write",
            hint="choose another output_dir, set resume_from_checkpoint: true to go on from its checkpoint, "
            "or --restart moves the folder aside",
        )
    return Run(path=path, state="new", checkpoint=None)


def _note_on_start(start: Path | None) -> tuple[Note, ...]:
    if start is None:
        return ()
    return (Note("resume_from_checkpoint", f"training goes on from {start}, as resume_from_checkpoint asks"),)


def _demand_same_data(ours: Path, prepared: Any, model: Path) -> None:
    before = read_json(ours / PLAN)
    hint = "restore what has changed, or --restart begins anew and moves the old folder aside"
    if before["data_digest"] != prepared.digest:
        raise RecipeError("the training data are not those that this run began with", hint=hint)
    # The last part names the content (a digest or a commit); the folders above it may move.
    if Path(before["model"]).name != model.name:
        raise RecipeError(
            f"the model is not the one that this run began with: {before['model']} before, {model} now",
            hint=f"{hint}; model_revision pins a model of the Hub",
        )


def _demand_writable(path: Path) -> None:
    if why := obstacle(path / OURS):
        raise UsageError(f"output_dir: {path} cannot be written to: {why}", hint="choose another output_dir")


def _demand_unlocked(path: Path) -> None:
    place = path / OURS / _LOCK
    if path.resolve() in _held or not place.is_file():
        return
    with place.open("a+", encoding="utf-8") as file:
        if not _claim(file):
            file.seek(0)
            raise _in_use(path, file.read().strip())


def _claim(file: IO[str]) -> bool:
    """Take the lock. Who only looks whether it is held (`is_at_work`) has it for a moment: that is waited for."""
    import fcntl

    for pause in (*_PAUSES, None):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if pause is None:
                return False
            time.sleep(pause)
        else:
            return True
    raise AssertionError("the last try ends the loop")


def _in_use(path: Path, holder: str) -> UsageError:
    who = f" (process {holder})" if holder else ""
    return UsageError(
        f"output_dir: another run is at work in {path}{who}", hint="wait for it, or choose another output_dir"
    )


def _demand_movable(path: Path) -> None:
    here = Path.cwd().resolve()
    if path.resolve() in (here, *here.parents):
        raise UsageError(
            f"output_dir: {path} is the folder you are in, or above it: it will not be moved aside",
            hint="choose another output_dir",
        )
