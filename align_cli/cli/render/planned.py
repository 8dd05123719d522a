"""A dry run as a page: the recipe with its origins, notes, mixture, arithmetic and plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from rich.console import RenderableType
from rich.text import Text

from align_cli.cli.render.needs import memory_of, time_of
from align_cli.cli.render.page import count, emit, grid, heading, lines, number, pairs

_LONGEST_VALUE = 72  # characters of one value on the page; --json has all of it

#: Defaults that decide a run, shown even when nobody set them.
_DECISIVE = (
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate",
    "lr_scheduler_type", "warmup_steps", "weight_decay", "loss_type", "beta", "max_length",
    "packing", "assistant_only_loss", "completion_only_loss", "use_peft", "gradient_checkpointing", "seed",
    "eval_strategy", "save_strategy", "report_to",
)  # fmt: skip


def dry_run(view: Mapping[str, Any], stream: TextIO, *, defaults: bool = False) -> None:
    """The page for the document that `--json` prints; see `cli.dry_run.document` for its keys.

    `defaults`: list every default, not only the decisive ones.
    """
    recipe, plan = view["recipe"], view["plan"]
    short = _shortener(recipe["path"])
    name = recipe["path"] or "(command line only)"
    blocks: list[RenderableType] = [
        Text(name, style="bold").append(f"  {view['task']}, profile {recipe['profile']}", style="dim")
    ]
    blocks += [heading("Recipe"), _values(recipe, short, defaults=defaults)]
    if recipe["env"]:
        blocks += [heading("Environment"), lines([f"{variable} is set by the recipe" for variable in recipe["env"]])]
    if view["notes"]:
        blocks += [heading("Notes"), lines(_note(note, short) for note in view["notes"])]
    blocks += _mixture(view["mixture"], short)
    blocks += [heading("Arithmetic"), pairs([*_arithmetic(plan, view["rows"]), *time_of(view.get("time"))])]
    blocks += [heading("Plan"), lines(plan["reasons"]), pairs(_plan(plan))]
    blocks += memory_of(view.get("memory"))
    emit(stream, *blocks)


def _values(recipe: Mapping[str, Any], short: Callable[[str], str], *, defaults: bool) -> RenderableType:
    rows = [(key, spelled(item["value"]), short(item["origin"])) for key, item in recipe["values"].items()]
    shown = recipe["defaults"] if defaults else {k: recipe["defaults"][k] for k in _DECISIVE if k in recipe["defaults"]}
    quiet = [
        (Text(key, style="dim"), Text(spelled(value), style="dim"), Text("default", style="dim"))
        for key, value in shown.items()
        if key not in recipe["values"]
    ]
    behaviours = [
        (Text(f"({key})", style="dim"), spelled(value), f"profile {recipe['profile']}")
        for key, value in recipe["behaviours"].items()
    ]
    return grid(("key", "value", "from"), [*rows, *behaviours, *quiet], whole=(0,))


def _shortener(path: str) -> Callable[[str], str]:
    """Places in the recipe itself without its folder: the page's first line has it."""
    name = path.rpartition("/")[2]
    if path and "." not in name:
        name = f"{name}.yaml"  # a shipped recipe, whose name is said without
    return lambda place: f"{name}{place[len(path) :]}" if path and place.startswith(f"{path}:") else place


def _note(note: Mapping[str, str], short: Callable[[str], str]) -> Text:
    text = Text()
    if note["where"]:
        text.append(f"{short(note['where'])}: ", style="bold")
    return text.append(note["message"])


def _mixture(mixture: Mapping[str, Any], short: Callable[[str], str]) -> list[RenderableType]:
    if not mixture["sources"]:
        return [heading("Mixture"), lines(["no source of rows is named"])]
    rows = [
        (
            purpose,
            source["label"],
            source["take"],
            number(source["available"]) or "?",
            " ".join(filter(None, (source["kind"], source["layout"]))),
            short(source["origin"]),
        )
        for purpose, role in (("train", "sources"), ("eval", "eval"))
        for source in mixture[role]
    ]
    table = grid(("for", "source", "take", "rows", "kind", "from"), rows, right=(3,))
    left_out = [f"left out: {what}" for what in mixture["leaves_out"]]
    return [heading("Mixture", ", ".join(mixture["understood"])), table, *([lines(left_out)] if left_out else [])]


def _arithmetic(plan: Mapping[str, Any], rows: Mapping[str, Any]) -> list[tuple[str, str]]:
    unknown = "known once the data are prepared"
    batch = (
        f"{plan['per_device_batch_size']} per device × {plan['gradient_accumulation_steps']} accumulated × "
        f"{count(plan['num_processes'], 'process').replace('processs', 'processes')} = "
        f"{plan['global_batch_size']} per step"
    )
    train = f"{rows['train']:,} to train on" if rows["train"] is not None else unknown
    evaluate = f", {rows['eval']:,} to evaluate on" if rows["eval"] else ""
    table = [("rows", f"{train}{evaluate}" + (f" ({rows['why']})" if rows["why"] else ""))]
    table += [("sequences", batch), ("steps", _steps(plan) or unknown)]
    if plan["num_warmup_steps"]:
        table.append(("warm-up", count(plan["num_warmup_steps"], "step")))
    occasions = [
        f"{count(plan[key], noun)}"
        for key, noun in (("num_evaluations", "evaluation"), ("num_checkpoints", "checkpoint"))
        if plan[key]
    ]
    if occasions:
        table.append(("during", ", ".join(occasions)))
    table.append(("tokens", number(plan["num_tokens"]) or unknown))
    return table


def _steps(plan: Mapping[str, Any]) -> str:
    if plan["num_steps"] is None:
        return ""
    if plan["steps_per_epoch"] is None:
        return f"{plan['num_steps']:,} (max_steps)"
    epochs = plan["num_epochs"]
    return (
        f"{plan['num_steps']:,} ({plan['steps_per_epoch']:,} per epoch, {epochs:g} epoch{'' if epochs == 1 else 's'})"
    )


def _plan(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [("device", f"{plan['device']}, {plan['precision']}"), ("command", plan["command"])]


def spelled(value: Any) -> str:
    """A value as a recipe would spell it."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    text = text.replace("\n", "⏎")
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}… ({len(text):,} characters)"
