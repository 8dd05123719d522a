"""`align train … --probe`: the worst step, an evaluation and a save under the real launch, and then nothing is left.

The run's own recipe, with one step on the longest rows, is sealed in a folder of the cache and trained by the same
workers. A process that is killed for its memory takes none of this command with it: even a single one is a child.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from align_cli.cli.training import launching, machines, memory
from align_cli.errors import Interrupted, LaunchError, TrainingError
from align_cli.files import cache_root, read_json
from align_cli.launch.host import Host
from align_cli.launch.plan import Plan
from align_cli.recipe.schema import Recipe
from align_cli.runs.directory import Run
from align_cli.tasks.task import Prepared, Progress

#: What the probe's recipe has in place of the run's own values.
_VALUES: dict[str, Any] = {
    "max_steps": 1,
    "logging_strategy": "steps",
    "logging_steps": 1,
    "report_to": ["none"],
    "push_to_hub": False,
    "load_best_model_at_end": False,
    "resume_from_checkpoint": None,
    "save_total_limit": None,
}
#: Ways in which running out of memory is told, in lower case.
_RAN_OUT = ("memory ran out", "out of memory", "sigkill", "memoryerror", "can't allocate memory")


@dataclass
class _Watch:
    """What the workers have reached; also the display, which shows only what matters here."""

    say: Callable[[str], None]
    evaluates: bool
    began: float = field(default_factory=time.monotonic)
    started: float | None = None
    stepped: float | None = None
    evaluated: bool = False

    def progress(self, moment: Progress) -> None:
        """A moment of the worker."""
        now = time.monotonic()
        if moment.step == 0 and self.started is None:
            self.started = now
        elif moment.step and self.stepped is None:
            self.stepped = now
        self.evaluated = self.evaluated or any(name.startswith("eval_") for name in moment.metrics)

    @property
    def at(self) -> str:
        """What was going on last."""
        if self.started is None:
            return "loading"
        if self.stepped is None:
            return "the training step"
        return "the evaluation" if self.evaluates and not self.evaluated else "the save"


def probe(
    recipe: Recipe,
    plan: Plan,
    prepared: Prepared,
    model: Path,
    host: Host,
    known: memory.Known,
    *,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """What the probe found, as the command prints it: peaks by rank, seconds, verdict.

    Raises:
        TrainingError: memory ran out; the message says in which of the three. Anything else that fails, as it is.
    """
    root = cache_root() / "probes"
    root.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="probe-", dir=root))
    try:
        return _in(place, recipe, plan, prepared, model, host, known, say)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        _forget_reference(_data_of(place).name)


def _in(
    place: Path,
    recipe: Recipe,
    plan: Plan,
    prepared: Prepared,
    model: Path,
    host: Host,
    known: memory.Known,
    say: Callable[[str], None],
) -> dict[str, Any]:
    run_dir, data = place / "run", _data_of(place)
    evaluates = bool(prepared.num_eval) and (recipe.get("eval_strategy", "no") != "no" or bool(recipe.get("do_eval")))
    rows = _longest(prepared, data, plan, int(recipe.get("per_device_eval_batch_size") or 8))
    changed = _recipe(recipe, run_dir, evaluates=evaluates)
    shrunk = replace(prepared, folder=data, digest=data.name, num_train=rows)
    planned = replace(
        plan,
        kind="workers",
        argv=(*plan.argv[:-1], str(run_dir)),
        num_steps=1,
        num_sequences=rows,
        reasons=(),
    )
    watch = _Watch(say=say, evaluates=evaluates)
    say(f"probe: one step on the {rows} longest rows, {'one evaluation, ' * evaluates}one save")
    link = machines.meet(planned, changed, shrunk, model, say=say)
    machines.seal(link, Run(path=run_dir, state="new", checkpoint=None), changed, planned, shrunk, model)
    watch.began = time.monotonic()
    try:
        metrics, facts = launching.work(run_dir, planned, changed, watch, link=link, own=(data, model))
    except Interrupted as stopped:
        raise Interrupted("the probe was stopped; nothing is left of it") from stopped
    except (TrainingError, LaunchError) as failed:
        raise _told(failed, watch, known, plan) from failed
    return _found(watch, metrics, facts, plan, host, known)


def _data_of(place: Path) -> Path:
    return place / f"data-{place.name}"


def _recipe(recipe: Recipe, run_dir: Path, *, evaluates: bool) -> Recipe:
    values = {**recipe.values, **_VALUES, "output_dir": str(run_dir)}
    if evaluates:
        values |= {"eval_strategy": "steps", "eval_steps": 1}
    if recipe.get("save_strategy", "steps") != "no":
        values |= {"save_strategy": "steps", "save_steps": 1}
    # What is accumulated beyond the second batch finds its gradients there.
    values["gradient_accumulation_steps"] = min(int(recipe.get("gradient_accumulation_steps", 1)), 2)
    return replace(recipe, values=values, launch=replace(recipe.launch, max_restarts=0))


def _longest(prepared: Prepared, folder: Path, plan: Plan, eval_batch: int) -> int:
    """Write a store of as many of the longest rows as a step and an evaluation take; gives the training rows."""
    folder.mkdir(parents=True)
    counts = {
        "train": plan.per_device_batch_size * min(plan.gradient_accumulation_steps, 2) * plan.data_parallel_size,
        "eval": eval_batch * plan.data_parallel_size,
    }
    written = 0
    for file in prepared.folder.iterdir():
        if file.suffix == ".arrow" and file.stem in counts:
            number = _write_longest(file, folder / file.name, counts[file.stem])
            written = number if file.stem == "train" else written
        elif file.is_file():
            shutil.copyfile(file, folder / file.name)
    return written


def _write_longest(source: Path, target: Path, count: int) -> int:
    """The `count` rows with the most tokens, the longest first; as many times over as it takes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    with pa.memory_map(str(source)) as file, pa.ipc.open_stream(file) as stream:
        table = stream.read_all()
        sizes = np.zeros(len(table), np.int64)
        for column in table.columns:
            if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
                sizes += pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
        longest = np.argsort(-sizes, kind="stable")[:count]
        chosen = table.take(pa.array(np.resize(longest, count)))
        with pa.OSFile(str(target), "wb") as out, pa.ipc.new_stream(out, chosen.schema) as writer:
            writer.write_table(chosen)
    return count


def _told(failed: TrainingError | LaunchError, watch: _Watch, known: memory.Known, plan: Plan) -> Exception:
    """Running out of memory with its place and what helps; anything else as it was told."""
    if not any(mark in f"{failed.message} {failed.hint}".lower() for mark in _RAN_OUT):
        return failed
    ways = memory.ways(known, plan)
    return TrainingError(
        f"it does not fit: memory ran out in {watch.at} ({failed.message})",
        problems=failed.problems,
        hint=f"what helps, by the estimate: {ways}" if ways else "a smaller per_device_train_batch_size or max_length",
    )


def _found(watch: _Watch, metrics: Any, facts: Any, plan: Plan, host: Host, known: memory.Known) -> dict[str, Any]:
    peaks = [int(peak) for peak in facts.get("peak_memory_bytes", ())]
    if plan.device == "cuda" and host.gpus:
        available = min(gpu.memory_bytes for gpu in host.gpus)
    else:
        available = host.memory_bytes // plan.local_processes
    estimated = known.fit(plan.strategy, plan.offload, plan.num_processes)
    started, stepped = watch.started or watch.began, watch.stepped or watch.began
    step = stepped - started
    evaluation = float(metrics.get("eval_runtime", 0.0))
    runtime = float(metrics.get("train_runtime", 0.0))
    seconds = {
        "load": round(started - watch.began, 1),
        "step": round(step, 1),
        "evaluation": round(evaluation, 1) if evaluation else None,
        "save": round(max(runtime - step - (evaluation if watch.evaluated else 0.0), 0.0), 1),
    }
    most = max(peaks, default=0)
    verdict = f"fits: {most / 1e9:.2f} of {available / 1e9:.1f} GB" if available else f"needs {most / 1e9:.2f} GB"
    return {
        "title": f"Probed: it {verdict}",
        "state": "probed",
        "verdict": verdict,
        "ranks": [{"rank": rank, "peak_memory_bytes": peak} for rank, peak in enumerate(peaks)],
        "available": available,
        "estimated": round(estimated.parts.total) if estimated else None,
        "seconds": seconds,
        "metrics": {},
        "next": ["the same command without --probe"],
    }


def _forget_reference(data: str) -> None:
    """Values of a reference model that were stored for the probe's rows."""
    for folder in (cache_root() / "reference").glob("*"):
        try:
            if read_json(folder / "inputs.json")["of"]["data"] == data:
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError, KeyError, TypeError):
            continue
