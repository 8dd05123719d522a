"""What a model card says about how the model was trained: the method, its paper, its loss, the reference model."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from align_cli.recipe.schema import Recipe
from align_cli.runs.card import names as card_names
from align_cli.runs.reading.record import mapping


def section(recipe: Recipe, facts: Mapping[str, Any]) -> str:
    """The card's section about the method; a task of a plugin is called by its name."""
    known = methods()
    entry = known["task"].get(recipe.task)
    if entry is None:
        lines = [f"Trained with the task `{recipe.task}`."]
    else:
        lines = [f"{entry['name'][:1].upper()}{entry['name'][1:]}{_paper(entry)}. {entry['words']}"]
    lines += _losses(recipe, known["loss"].get(recipe.task, {}))
    if entry is not None and "beta" in (*recipe.values, *recipe.defaults) and recipe.get("beta") is not None:
        lines.append(f"- beta: {recipe.get('beta')}")
    if entry is not None and entry.get("reference"):
        lines.append(f"- reference model: {_reference(recipe, facts)}")
    if adapter := _adapter(recipe):
        chosen = known["adapter"][adapter]
        rank = f", rank {recipe.get('lora_r')}" if recipe.get("lora_r") is not None else ""
        alpha = f", alpha {recipe.get('lora_alpha')}" if recipe.get("lora_alpha") is not None else ""
        lines.append(f"- trained weights: {chosen['name']}{_paper(chosen)}{rank}{alpha}")
    return "\n".join(["## Method", "", lines[0], *(["", *lines[1:]] if len(lines) > 1 else [])])


@cache
def methods() -> dict[str, dict[str, Any]]:
    """`methods.toml`."""
    with (Path(__file__).parent / "methods.toml").open("rb") as file:
        return tomllib.load(file)


def _losses(recipe: Recipe, known: Mapping[str, Mapping[str, str]]) -> list[str]:
    """One line for each loss, with its weight where there are several."""
    asked = recipe.get("loss_type") if known else None
    names = [asked] if isinstance(asked, str) else list(asked or ())
    weights = recipe.get("loss_weights") or ()
    lines = []
    for number, name in enumerate(names):
        weight = f", weight {weights[number]}" if number < len(weights) else ""
        entry = known.get(str(name))
        words = f": {entry['words']}{_paper(entry)}" if entry else ""
        lines.append(f"- loss: `{name}`{words}{weight}")
    return lines


def _reference(recipe: Recipe, facts: Mapping[str, Any]) -> str:
    """Which model held the trained one back, by what the run found out, else by what the recipe says."""
    told = mapping(facts.get("reference"))
    named = told.get("model") if told.get("separate") else recipe.values.get("ref_model_name_or_path")
    if named:
        of = card_names.link(str(named))
    elif recipe.get("use_peft"):
        of = "the model that training started from (the adapter switched off)"
    else:
        of = "the model that training started from"
    if told.get("digest"):
        of += f" (sha256 `{str(told['digest'])[:16]}`)"
    if recipe.get("precompute_ref_log_probs") or "train_rows" in told:
        of += ", its log-probabilities computed once"
    if recipe.get("sync_ref_model"):
        of += ", moved towards the trained model from time to time"
    return of


def _adapter(recipe: Recipe) -> str:
    if not recipe.get("use_peft"):
        return ""
    if recipe.get("use_dora"):
        return "dora"
    return "qlora" if recipe.get("load_in_4bit") or recipe.get("load_in_8bit") else "lora"


def _paper(entry: Mapping[str, str]) -> str:
    if "arxiv" not in entry:
        return ""
    return f" ([{entry['paper']}](https://arxiv.org/abs/{entry['arxiv']}), arXiv:{entry['arxiv']})"
