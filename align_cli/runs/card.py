"""`README.md`: the model card, made from the resolved recipe and from what was counted, so that it cannot disagree."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from align_cli.files import read_json, write_text
from align_cli.recipe import secrets
from align_cli.recipe.schema import Recipe
from align_cli.runs import manifest
from align_cli.runs.directory import OURS, PREPARATION

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
#: Keys whose value may be a place on this machine.
_PLACES = ("model_name_or_path", "tokenizer_name_or_path", "chat_template_path", "resume_from_checkpoint", "deepspeed")
_RESULTS = (
    ("train_loss", "Training loss, mean"),
    ("eval_loss", "Evaluation loss"),
    ("eval_mean_token_accuracy", "Evaluation token accuracy"),
)


def write(run_dir: Path, recipe: Recipe, *, metrics: Mapping[str, float], facts: Mapping[str, Any]) -> None:
    """Write the card into the run directory, replacing what was there."""
    report = read_json(run_dir / OURS / PREPARATION)
    hidden = tuple(value for name, value in recipe.env.items() if secrets.is_secret(name) and value)
    write_text(run_dir / "README.md", secrets.scrub(text(run_dir.name, recipe, report, metrics, facts), hidden))


def text(
    name: str, recipe: Recipe, report: Mapping[str, Any], metrics: Mapping[str, float], facts: Mapping[str, Any]
) -> str:
    """The card. `report` is the preparation's; only what is known is said."""
    model_id = str(recipe.values.get("hub_model_id") or name)
    base = _public(str(recipe.get("model_name_or_path") or ""))
    parts = [
        _front_matter(recipe, report, base),
        f"# {model_id.rpartition('/')[2]}",
        _what(recipe, base, facts),
        _use(model_id, recipe),
        _data(report),
        _training(recipe, facts),
        _results(metrics),
        _versions(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(recipe: Recipe, report: Mapping[str, Any], base: str) -> str:
    tags = ["align", "trl", recipe.task]
    if recipe.profile.startswith("handbook"):
        tags.append("alignment-handbook")
    lines = [
        "---",
        f"library_name: {'peft' if recipe.get('use_peft') else 'transformers'}",
        "pipeline_tag: text-generation",
    ]
    if _HUB_ID.fullmatch(base):
        lines.append(f"base_model: {base}")
    sources = [source["path"] for source in (report.get("mixture") or {}).get("sources", []) if _is_public(source)]
    if sources:
        lines += ["datasets:", *(f"- {path}" for path in dict.fromkeys(sources))]
    lines += ["tags:", *(f"- {tag}" for tag in tags), "---"]
    return "\n".join(lines)


def _what(recipe: Recipe, base: str, facts: Mapping[str, Any]) -> str:
    of = f" of {_link(base)}" if base else ""
    method = "A LoRA adapter" if recipe.get("use_peft") else "A fine-tuned version"
    found = facts.get("parameters")
    size = ""
    if found:
        size = f" {found['trained']:,} of {found['total']:,} parameters were trained."
    return f"{method}{of}, made with `align train {recipe.task}`.{size}"


def _use(model_id: str, recipe: Recipe) -> str:
    name = model_id if recipe.values.get("hub_model_id") else "PATH_TO_THIS_FOLDER"
    return f"""## Use

```python
from transformers import pipeline

chat = pipeline("text-generation", model="{name}")
question = [{{"role": "user", "content": "Hello!"}}]
print(chat(question, max_new_tokens=128, return_full_text=False)[0]["generated_text"])
```"""


def _data(report: Mapping[str, Any]) -> str:
    mixture = report.get("mixture") or {}
    rows = [
        f"| {_public(str(source.get('label')))} | {_number(source.get('available'))} | {_number(source.get('kept'))} |"
        for source in mixture.get("sources", [])
    ]
    lines = ["## Data", ""]
    if rows:
        lines += ["| source | rows there | rows taken |", "| --- | --- | --- |", *rows, ""]
    counted = report.get("rows") or {}
    tokens = report.get("tokens") or {}
    if counted:
        lines.append(f"{_number(counted.get('train'))} rows were trained on, {_number(counted.get('eval'))} evaluated.")
    if tokens:
        share = tokens.get("share_in_loss", 0)
        lines.append(f"{_number(tokens.get('train'))} tokens, {share:.0%} of them in the loss.")
    if report.get("truncated"):
        lines.append(f"{_number(report['truncated'])} rows were cut at {report.get('max_length')} tokens.")
    if mixture.get("digest"):
        lines.append(f"Mixture `{mixture['digest'][:16]}`.")
    return "\n".join(lines).rstrip() if len(lines) > 2 else ""


def _training(recipe: Recipe, facts: Mapping[str, Any]) -> str:
    done = [f"{facts[what]:,} {what}" for what in ("steps", "tokens") if what in facts]
    lines = ["## Training", ""]
    if done:
        lines += [f"{', '.join(done)}. Every value that was chosen (the profile `{recipe.profile}` included):", ""]
    lines.append("```yaml")
    for key, value in recipe.values.items():
        if key in ("output_dir", "chat_template") or key.startswith(("hub_", "push_to_hub")):
            continue
        if key in _PLACES and isinstance(value, str):
            value = _public(value)
        lines.append(f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    return "\n".join([*lines, "```"])


def _results(metrics: Mapping[str, float]) -> str:
    rows = [f"| {title} | {metrics[key]:.4f} |" for key, title in _RESULTS if isinstance(metrics.get(key), int | float)]
    return "\n".join(["## Results", "", "| what | value |", "| --- | --- |", *rows]) if rows else ""


def _versions() -> str:
    return "## Versions\n\n" + "\n".join(f"- {name} {number}" for name, number in manifest.versions().items())


def _public(name: str) -> str:
    """What may be told of a name: a Hub id or a package as it is, of a local path the last part."""
    return name if _HUB_ID.fullmatch(name) and not Path(name).exists() else Path(name.partition("://")[2] or name).name


def _is_public(source: Mapping[str, Any]) -> bool:
    return (source.get("identity") or {}).get("kind") == "hub" or (
        bool(_HUB_ID.fullmatch(str(source.get("path"))))
        and not Path(str(source.get("path"))).exists()
        and not Path(str(source.get("path"))).suffix
    )


def _link(base: str) -> str:
    return f"[{base}](https://huggingface.co/{base})" if _HUB_ID.fullmatch(base) else f"`{base}`"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"
