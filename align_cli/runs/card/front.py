"""The card's front matter, which the Hub reads: what it is based on, trained on, and measured at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from align_cli.recipe.schema import Recipe
from align_cli.runs.card import names as card_names
from align_cli.runs.reading.record import mapping, mappings, number

Evaluations = Mapping[str, Mapping[str, float]]


def front_matter(
    recipe: Recipe, report: Mapping[str, Any], facts: Mapping[str, Any], *, name: str, evaluations: Evaluations
) -> str:
    """YAML between dashes; keys as `huggingface_hub.ModelCardData` has them. Only what is known is in it."""
    import yaml

    is_adapter = bool(recipe.get("use_peft"))
    document: dict[str, Any] = {"library_name": "peft" if is_adapter else "transformers"}
    document["pipeline_tag"] = "text-classification" if recipe.task == "reward" else "text-generation"
    base = card_names.base_of(str(recipe.get("model_name_or_path") or ""), facts)
    if card_names.is_on_hub(base):
        document["base_model"] = base
        document["base_model_relation"] = "adapter" if is_adapter else "finetune"
    if datasets := data_sets(report):
        document["datasets"] = datasets
    document["tags"] = _tags(recipe)
    if results := _model_index(name, evaluations):
        document["model-index"] = results
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---"


def data_sets(report: Mapping[str, Any]) -> list[str]:
    """Hub ids of the sources, once each."""
    sources = mappings(mapping(report.get("mixture")).get("sources"))
    return list(dict.fromkeys(str(source["path"]) for source in sources if is_public(source)))


def is_public(source: Mapping[str, Any]) -> bool:
    """Whether a source is a data set of the Hub."""
    path = str(source.get("path") or "")
    return bool(mapping(source.get("identity")).get("hub")) or (
        source.get("kind") not in ("file", "folder", "package") and card_names.is_on_hub(path)
    )


def _tags(recipe: Recipe) -> list[str]:
    tags = ["align", "trl", recipe.task]
    if recipe.get("use_peft"):
        tags.append("lora")
    if recipe.profile.startswith("handbook"):
        tags.append("alignment-handbook")
    return list(dict.fromkeys(tags))


def _model_index(name: str, evaluations: Evaluations) -> list[dict[str, Any]]:
    """Results of benchmarks, as the Hub lists them; the training's own evaluation is none."""
    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": benchmark, "type": benchmark.lower().replace(" ", "-")},
            "metrics": [
                {"type": metric.lower().replace(" ", "_"), "name": metric, "value": value}
                for metric, value in measured.items()
                if number(value) is not None
            ],
        }
        for benchmark, measured in evaluations.items()
    ]
    results = [entry for entry in results if entry["metrics"]]
    return [{"name": name.rpartition("/")[2], "results": results}] if results else []
