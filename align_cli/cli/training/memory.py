"""The memory estimate of a run as a dry run shows it: parts, a table of strategies, and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli.cli.training.model_shape import shape_of
from align_cli.errors import AlignError, UsageError
from align_cli.launch import timings
from align_cli.launch.host import Host
from align_cli.launch.memory import devices
from align_cli.launch.memory.remedies import remedies
from align_cli.launch.memory.verdict import Fit, Question
from align_cli.launch.memory.work import work_of
from align_cli.launch.plan import Plan
from align_cli.models.adapters import chains, lora
from align_cli.models.finding import places
from align_cli.recipe.schema import Note, Recipe
from align_cli.tasks.task import Task

#: What one row of the data becomes for the model.
_ANSWERS = {"pairs": 2, "scored": 2}


@dataclass(frozen=True)
class Known:
    """A question that can be answered, or why none can be."""

    question: Question | None
    why: str = ""

    def fit(self, strategy: str, offload: str, processes: int) -> Fit | None:
        """For `strategy.choose`: None where nothing is known."""
        return self.question.fit(strategy, offload, processes) if self.question else None


def known_of(recipe: Recipe, task: Task, host: Host, *, folder: Path | None = None) -> Known:
    """What can be asked about the recipe's memory on machines like `host`; nothing is fetched or converted.

    `folder`: the model, where it has been found already.
    """
    name = str(recipe.get("model_name_or_path") or "")
    try:
        place = folder or _base(places.nearby(name, recipe.values.get("model_revision")) if name else None)
        if place is None:
            return Known(None, "not known: the model is not on this machine yet, or not as a folder")
        shape = shape_of(place, recipe)
    except (AlignError, OSError, ValueError, TypeError, KeyError, ZeroDivisionError) as cause:
        return Known(None, f"not known: the model's files do not tell ({type(cause).__name__})")
    if shape is None:
        return Known(None, "not known: the model's files do not tell its shape (config.json and safetensors)")
    device = "cpu" if recipe.get("use_cpu") else host.device
    answers, scores = _ANSWERS.get(task.shape, 1), task.shape != "scored"
    work = work_of(recipe, shape, device=device, answers=answers, scores_tokens=scores)
    return Known(Question(shape=shape, work=work, host=host, machines=recipe.launch.num_machines))


def _base(place: Path | None) -> Path | None:
    """Below adapters the model they are made for, if it is here: merged they have its shape."""
    if place is None or not lora.is_adapter(place):
        return place
    found = chains.chain(place, name=str(place), find=lambda wanted, at: places.nearby(wanted) or Path("nowhere"))
    folder = found.base.folder if found else None
    return folder if folder is not None and folder.is_dir() else None


def document(known: Known, plan: Plan) -> dict[str, Any]:
    """For `--json` and the page: the planned strategy's parts, the table, and remedies where it does not fit."""
    if known.question is None:
        return {"why": known.why, "planned": None, "table": [], "remedies": []}
    question = known.question
    fit = question.fit(plan.strategy, plan.offload, plan.num_processes)
    rows = question.table(plan.num_processes)
    if fit not in rows:
        rows.insert(0, fit)
    return {
        "why": "",
        "device": _device(question),
        "processes": plan.num_processes,
        "rows": question.work.rows,
        "length": question.work.length,
        "parameters": question.shape.parameters,
        "trainable": question.shape.trainable,
        "planned": fit.as_dict(),
        "table": [{k: v for k, v in row.as_dict().items() if k != "parts"} for row in rows],
        "remedies": [
            {"words": one.words, "bytes": round(one.fit.parts.total), "fits": bool(one.fit)}
            for one in _remedies(question, fit, plan)
        ],
    }


def notes(known: Known, plan: Plan) -> list[Note]:
    """One sentence where the plan does not fit, with the cheapest remedies in order."""
    if known.question is None:
        return []
    fit = known.question.fit(plan.strategy, plan.offload, plan.num_processes)
    if fit:
        return []
    found = ways(known, plan)
    tight = fit.verdict == "is tight"
    what = "memory may run out" if tight else "memory will run out by the estimate"
    return [Note("memory", f"{what}: each process needs {fit}{f'. What helps: {found}' if found else ''}")]


def ways(known: Known, plan: Plan) -> str:
    """What would need less than the plan, in words, the cheapest first; nothing where nothing is known."""
    if known.question is None:
        return ""
    fit = known.question.fit(plan.strategy, plan.offload, plan.num_processes)
    batch, accumulation = plan.per_device_batch_size, plan.gradient_accumulation_steps
    found = remedies(known.question, fit, plan.num_processes, batch=batch, accumulation=accumulation)
    return "; ".join(map(str, found))


def _remedies(question: Question, fit: Fit, plan: Plan) -> list[Any]:
    if fit:
        return []
    batch, accumulation = plan.per_device_batch_size, plan.gradient_accumulation_steps
    return remedies(question, fit, plan.num_processes, batch=batch, accumulation=accumulation)


def _device(question: Question) -> str:
    if question.work.device == "cuda" and question.host.gpus:
        return question.host.gpus[0].name
    return {"cpu": "this machine's memory, shared by its processes", "mps": "Apple GPU"}.get(question.work.device, "")


def elsewhere(on: str | None, words: Sequence[str], here: Host, *, dry_run: bool) -> tuple[list[str], Host, list[Note]]:
    """Command line and host for `--on`: the plan is made as if there.

    Raises:
        UsageError: it is no dry run, or names nothing.
    """
    if on is None:
        return list(words), here, []
    if not dry_run:
        raise UsageError("--on plans for another machine, and a run is on this one", hint="add --dry-run")
    if not on.strip():
        raise UsageError("--on names no machine", hint="--on 8xH100-80GB")
    there = devices.named(on, here)
    more = [f"--launch.num_machines={there.machines}"] if there.machines > 1 else []
    said = f"planned as if on {there.name}; cores and packages are taken to be as here"
    return [*words, *more], there.host, [Note("on", said)]


def time_of(known: Known, task: Task, plan: Plan) -> dict[str, Any]:
    """For `--json` and the page: seconds of the planned steps, and the run that tells."""
    found = timings.recall(timings.key_of(task.name, plan, known.question)) if known.question else None
    if found is None:
        return {"seconds": None, "run": None, "why": "not known: no run of this model here has been measured"}
    seconds = found.seconds(plan)
    speed = f"{found.sequences_per_second:.3g} sequences/s, {found.tokens_per_second:,.0f} tokens/s"
    return {
        "seconds": round(seconds, 1) if seconds is not None else None,
        "run": found.run,
        "why": f"as {found.run} went: {speed} over {found.steps:,} steps",
    }


def remember_time(
    known: Known, task: Task, plan: Plan, metrics: Mapping[str, Any], facts: Mapping[str, Any], run: Path
) -> None:
    """Keep how fast the finished run went, for dry runs to come."""
    if known.question is not None and plan.machine_rank == 0:
        timings.remember(timings.key_of(task.name, plan, known.question), plan, metrics, facts, run)
