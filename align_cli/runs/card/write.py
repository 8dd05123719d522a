"""`README.md`: the model card, made from the resolved recipe and from what was counted, so that it cannot disagree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from align_cli.files import read_json, write_text
from align_cli.recipe import secrets
from align_cli.recipe.schema import Recipe
from align_cli.runs import manifest
from align_cli.runs.card import data as card_data
from align_cli.runs.card import front as card_front
from align_cli.runs.card import method as card_method
from align_cli.runs.card import names as card_names
from align_cli.runs.card import use as card_use
from align_cli.runs.card.front import Evaluations
from align_cli.runs.directory import OURS, PLAN, PREPARATION
from align_cli.runs.reading.curves import EVAL, is_clock
from align_cli.runs.reading.record import mapping, mappings, number

#: Keys of this machine, or of how the card itself is published.
_LEFT_OUT = ("output_dir", "chat_template", "logging_dir")
#: Keys whose value may be a place on this machine.
_PLACES = ("model_name_or_path", "tokenizer_name_or_path", "chat_template_path", "resume_from_checkpoint", "deepspeed")
_TITLES = {
    "train_loss": "Training loss, mean",
    "eval_loss": "Evaluation loss",
    "eval_mean_token_accuracy": "Evaluation token accuracy",
    "eval_rewards/accuracies": "Pairs in which the chosen answer has the higher reward",
    "eval_rewards/margins": "Reward margin, chosen less rejected",
    "eval_rewards/chosen": "Reward of chosen answers",
    "eval_rewards/rejected": "Reward of rejected answers",
    "eval_accuracy": "Pairs in which the chosen answer has the higher score",
    "eval_margin": "Score margin, chosen less rejected",
}
_COUNTS = ("eval_samples", "eval_num_tokens")


def write(
    run_dir: Path,
    recipe: Recipe,
    *,
    metrics: Mapping[str, float],
    facts: Mapping[str, Any],
    evaluations: Evaluations | None = None,
) -> None:
    """Write the card into the run directory, replacing what was there.

    `evaluations`: benchmark -> metric -> value, for a model that was measured after training.
    """
    report = mapping(_read(run_dir / OURS / PREPARATION))
    plan = mapping(mapping(_read(run_dir / OURS / PLAN)).get("plan"))
    hidden = tuple(value for name, value in recipe.env.items() if secrets.is_secret(name) and value)
    made = text(run_dir.resolve().name, recipe, report, metrics, facts, plan=plan, evaluations=evaluations)
    write_text(run_dir / "README.md", secrets.scrub(_without_places(made, run_dir), hidden))


def text(
    name: str,
    recipe: Recipe,
    report: Mapping[str, Any],
    metrics: Mapping[str, float],
    facts: Mapping[str, Any],
    *,
    plan: Mapping[str, Any] | None = None,
    evaluations: Evaluations | None = None,
) -> str:
    """The card. `report` is the preparation's, `plan` the launch plan's; only what is known is said."""
    given = recipe.values.get("hub_model_id")
    model_id = str(given or name)
    measured = evaluations or {}
    parts = [
        card_front.front_matter(recipe, report, facts, name=model_id, evaluations=measured),
        f"# {model_id.rpartition('/')[2]}",
        _what(recipe, facts),
        card_use.section(model_id if given else card_use.PLACEHOLDER, recipe, report),
        card_method.section(recipe, facts),
        card_data.section(report),
        _training(recipe, facts, metrics, plan or {}),
        _results(metrics, measured),
        _versions(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(recipe: Recipe, facts: Mapping[str, Any]) -> str:
    """One sentence on what it is, and the chain of models and adapters under it."""
    start = str(recipe.get("model_name_or_path") or "")
    what = "A reward model" if recipe.task == "reward" else "A fine-tuned version"
    what = "A LoRA adapter" if recipe.get("use_peft") else what
    of = f" of {card_names.link(start)}" if start and what != "A reward model" else ""
    of = f" made from {card_names.link(start)}" if start and not of else of
    lines = [f"{what}{of}, trained with `align train {recipe.task}`."]
    parameters = mapping(facts.get("parameters"))
    if isinstance(parameters.get("trained"), int) and isinstance(parameters.get("total"), int):
        lines.append(f"{parameters['trained']:,} of {parameters['total']:,} parameters were trained.")
    chain = mapping(facts.get("chain"))
    if chain:
        lines += ["", "It stands on:", "", f"- base: {_link(chain.get('base'))}"]
        lines += [f"- adapter: {_link(adapter)}" for adapter in mappings(chain.get("adapters"))]
    return "\n".join(lines)


def _link(entry: Any) -> str:
    """One model of the chain, with the revision and digest that were used."""
    found = entry if isinstance(entry, Mapping) else {"name": entry}
    words = [card_names.link(str(found.get("name") or "?"))]
    if found.get("revision"):
        words.append(f"at `{found['revision']}`")
    if found.get("digest"):
        words.append(f"(sha256 `{str(found['digest'])[:16]}`)")
    return " ".join(words)


def _training(recipe: Recipe, facts: Mapping[str, Any], metrics: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    import yaml

    done = [f"{facts[what]:,} {what}" for what in ("steps", "tokens") if isinstance(facts.get(what), int)]
    if plan.get("global_batch_size"):
        done.append(f"{plan['global_batch_size']} sequences a step")
    seconds = number(metrics.get("train_runtime"))
    if seconds is not None and not facts.get("resumed_from"):
        done.append(f"{_duration(seconds)} on {_hardware(facts, plan)}")
    else:
        done.append(f"on {_hardware(facts, plan)}")
    chosen = {}
    for key, value in recipe.values.items():
        if key in _LEFT_OUT or key.startswith(("hub_", "push_to_hub")):
            continue
        chosen[key] = card_names.public(value) if key in _PLACES and isinstance(value, str) else value
    values = yaml.safe_dump(card_names.public_value(chosen), sort_keys=False, allow_unicode=True, width=1000)
    lines = ["## Training", "", f"{', '.join(done)}.", ""]
    lines += [f"Every value that was chosen (the profile `{recipe.profile}` included):", "", "```yaml"]
    lines += [values.rstrip("\n") if chosen else "# none", "```"]
    if recipe.behaviours:
        behaviours = ", ".join(f"`{name}: {value}`" for name, value in recipe.behaviours.items())
        lines += ["", f"The profile also switched on: {behaviours}."]
    return "\n".join(lines)


def _results(metrics: Mapping[str, Any], evaluations: Evaluations) -> str:
    """Final metrics of the training and its evaluation, then benchmarks."""
    names = [name for name in _TITLES if name in metrics]
    names += [
        name for name in metrics if name.startswith(EVAL) and name not in (*_TITLES, *_COUNTS) and not is_clock(name)
    ]
    rows = [
        f"| {_TITLES.get(name, f'`{name}`')} | {value:.4f} |"
        for name in names
        if (value := number(metrics[name])) is not None
    ]
    blocks = []
    if rows:
        blocks += [
            "At the end of training; evaluations are on rows that were held out:",
            "",
            "| what | value |",
            "| --- | ---: |",
            *rows,
        ]
    for benchmark, measured in evaluations.items():
        told = [f"| {metric} | {value:g} |" for metric, value in measured.items() if number(value) is not None]
        if told:
            blocks += [""] if blocks else []
            blocks += [f"### {benchmark}", "", "| metric | value |", "| --- | ---: |", *told]
    return "\n".join(["## Results", "", *blocks]) if blocks else ""


def _versions() -> str:
    return "## Versions\n\n" + "\n".join(f"- {name} {number}" for name, number in manifest.versions().items())


def _hardware(facts: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """What it ran on, without the machine's name."""
    host = manifest.host()
    precision = f", {plan['precision']}" if plan.get("precision") else ""
    processes = plan.get("num_processes") or 1
    shared = f", {processes} processes" if processes > 1 else ""
    if host["gpus"] and str(facts.get("device") or plan.get("device")).startswith("cuda"):
        return f"{', '.join(host['gpus'])}{shared}{precision}"
    return f"a CPU with {host['cpus']} cores ({host['machine']}){shared}{precision}"


def _duration(seconds: float) -> str:
    whole = max(round(seconds), 1)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _without_places(card: str, run_dir: Path) -> str:
    """Whatever came through all the same: the folders that this machine's paths begin with."""
    for place in (run_dir.resolve(), Path.cwd(), Path.home()):
        if len(place.parts) > 1:
            card = card.replace(f"{place}/", "")
    return card


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except FileNotFoundError:
        return {}
