"""Whether adapters add up to one adapter exactly; known from their settings, so that a run is refused before it works.

Plain LoRA adds B A to a weight, and sums of low rank are of low rank. Whatever multiplies, trains biases or belongs
to another method does not add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from align_cli.errors import Problem
from align_cli.models.adapters.chains import Chain
from align_cli.recipe.schema import Recipe

#: Settings that make an adapter more than a sum.
_MORE = (
    "use_dora", "lora_bias", "trainable_token_indices", "ensure_weight_tying", "use_qalora", "use_bdlora",
    "kasa_config", "monteclora_config", "velora_config",
)  # fmt: skip


def obstacle(configs: Sequence[Mapping[str, Any]]) -> str:
    """Why adapters with these settings, in this order, are not one adapter; empty when they are."""
    for config in configs:
        if config.get("peft_type") != "LORA":
            return f"adapters of the kind {config.get('peft_type')} do not add up"
        if key := next((key for key in _MORE if config.get(key)), None):
            return f"{key} is set, and such adapters do not add up"
        if config.get("bias", "none") != "none":
            return f"bias: {config['bias']} trains biases, which do not add up"
    experts = {tuple(config["target_parameters"]) for config in configs if config.get("target_parameters")}
    if len(experts) > 1:
        return "their target_parameters differ"
    return ""


def obstacle_of_chain(chain: Chain) -> str:
    """The same for the adapters of a chain."""
    return obstacle([link.adapter.config for link in chain.adapters if link.adapter is not None])


def problem(chain: Chain, recipe: Recipe) -> Problem | None:
    """What keeps the recipe's new adapter from being saved as one with those of the chain below it."""
    if not chain.adapters or not recipe.get("use_peft"):
        return None
    new = {
        "peft_type": "LORA",
        "use_dora": recipe.get("use_dora"),
        "target_parameters": recipe.get("lora_target_parameters"),
    }
    configs = [link.adapter.config for link in chain.adapters if link.adapter is not None]
    if not (why := obstacle([*configs, new])):
        return None
    name = chain.adapters[-1].name
    return Problem(
        f"a new adapter on {name} cannot be saved as one with it: {why}",
        "model_name_or_path",
        f"align model merge {name} MERGED, then model_name_or_path: MERGED",
    )
