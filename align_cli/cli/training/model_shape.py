"""A model's shape, and that of the recipe's adapter on it, from `config.json` and the headers of its files."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from align_cli.launch.memory.shape import Adapter, Shape
from align_cli.models.adapters import fits
from align_cli.models.finding import headers
from align_cli.models.finding.headers import BITS, Tensor
from align_cli.recipe.schema import Recipe

#: A number of the shape -> what families call it in `config.json`.
_NAMES = {
    "hidden": ("hidden_size", "n_embd", "d_model", "dim"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "heads": ("num_attention_heads", "n_head", "num_heads"),
    "key_value_heads": ("num_key_value_heads", "num_kv_heads"),
    "intermediate": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "expert": ("moe_intermediate_size", "intermediate_size"),
    "experts_a_token": ("num_experts_per_tok", "num_experts_per_token", "moe_topk"),
    "context": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"),
}
_LAYER = re.compile(r"\.(\d+)\.")
_MAPPING = "TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING"


def shape_of(folder: Path, recipe: Recipe) -> Shape | None:
    """The shape; None where the files do not tell (weights that are no safetensors, a family with other words).

    Raises:
        UsageError: a file is damaged.
    """
    tensors = headers.weights(folder)
    config = fits.config_of(folder)
    said = {name: _first(config, words) for name, words in _NAMES.items()}
    embedding = tensors.get(fits.embedding_in(tensors) or "")
    if embedding is None or not all(said[name] for name in ("hidden", "layers", "heads")):
        return None
    heads = said["heads"]
    head = _first(config, ("head_dim",)) or said["hidden"] // heads
    intermediate = said["intermediate"] or 4 * said["hidden"]
    if experts := said["experts_a_token"]:
        intermediate = said["expert"] * experts
    total = sum(one.elements for one in tensors.values())
    return Shape(
        parameters=total,
        embedding=embedding.elements,
        is_tied=not any(fits.is_head(name.removesuffix(".weight")) for name in tensors),
        hidden=said["hidden"],
        layers=said["layers"],
        heads=heads,
        key_values=(said["key_value_heads"] or heads) * head,
        queries=heads * head,
        intermediate=intermediate,
        vocabulary=embedding.shape[0],
        context=said["context"],
        stored_bits=round(sum(one.elements * BITS[one.dtype] for one in tensors.values()) / total),
        adapter=_adapter(recipe, config, tensors, said["layers"]) if recipe.get("use_peft") else None,
    )


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    inner = config.get("text_config")
    places = [config, inner if isinstance(inner, dict) else {}]
    return next((place[name] for place in places for name in names if place.get(name)), None)


def _adapter(recipe: Recipe, config: Mapping[str, Any], tensors: Mapping[str, Tensor], layers: int) -> Adapter:
    """What peft would make of the recipe's keys."""
    matrices = {name.removesuffix(".weight"): one for name, one in tensors.items() if len(one.shape) == 2}
    targeted = {path: one for path, one in matrices.items() if _is_target(path, recipe, config)}
    rank = int(recipe.get("lora_r") or 16)
    whole = recipe.get("lora_modules_to_save") or ()
    saved = sum(one.elements for path, one in matrices.items() if path.rpartition(".")[2] in whole)
    widths = [one.shape[1] for one in targeted.values()]
    # Queries, keys and values read one input, gate and up another; what else is targeted reads its own.
    inputs = {(_number(path), _input_of(path)): one.shape[1] for path, one in targeted.items()}
    return Adapter(
        parameters=sum(rank * sum(one.shape) for one in targeted.values()) + saved,
        matrices=len(targeted) / layers,
        width=sum(widths) / layers,
        inputs=sum(inputs.values()) / layers,
        rank=rank,
    )


def _number(path: str) -> str:
    found = _LAYER.search(path)
    return found[1] if found else ""


def _input_of(path: str) -> str:
    name = path.rpartition(".")[2]
    if name in ("q_proj", "k_proj", "v_proj"):
        return "attention"
    return "feed-forward" if name in ("gate_proj", "up_proj") else name


def _is_target(path: str, recipe: Recipe, config: Mapping[str, Any]) -> bool:
    wanted = recipe.get("lora_target_modules") or _usual().get(str(config.get("model_type")), ())
    words = [wanted] if isinstance(wanted, str) else list(wanted)
    name = path.rpartition(".")[2]
    if words == ["all-linear"]:
        return not fits.is_head(path) and name not in fits.EMBEDDINGS
    if len(words) == 1 and re.search(r"[*(|\[]", words[0]):
        try:
            return re.fullmatch(words[0], path) is not None
        except re.error:
            return False
    return name in words or any(path.endswith(f".{word}") for word in words)


@cache
def _usual() -> dict[str, tuple[str, ...]]:
    """Family -> the modules that peft adapts where nothing is said: read from its source, without importing it."""
    spec = find_spec("peft")
    if spec is None or not spec.submodule_search_locations:
        return {}
    try:
        source = (Path(spec.submodule_search_locations[0]) / "utils" / "constants.py").read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == _MAPPING:
                return {family: tuple(names) for family, names in ast.literal_eval(node.value).items()}
    except (OSError, SyntaxError, ValueError):
        pass
    return {}
