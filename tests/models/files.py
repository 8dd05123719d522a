"""Models and adapters as files alone: headers and zeros, made without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]

LAYER = "model.layers.{}.self_attn.{}_proj"


def model_files(folder: Path, *, layers: int = 2, width: int = 8, config: Mapping[str, Any] | None = None) -> Path:
    """A model's config and weights: embeddings, and `q_proj` and `v_proj` of each layer."""
    shapes = {"model.embed_tokens.weight": (16, width)}
    for layer in range(layers):
        shapes |= {LAYER.format(layer, one) + ".weight": (width, width) for one in "qv"}
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", shapes)
    settings = {"model_type": "llama", "num_hidden_layers": layers, "hidden_size": width} | dict(config or {})
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def adapter_files(
    folder: Path,
    base: Path | str | None,
    *,
    layers: int = 2,
    width: int = 8,
    rank: int = 2,
    mark: float = 0,
    **config: Any,
) -> Path:
    """A LoRA adapter on `q_proj` and `v_proj` of a model from `model_files`; `mark` makes its content its own."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        for one in "qv":
            path = f"base_model.model.{LAYER.format(layer, one)}"
            shapes |= {f"{path}.lora_A.weight": (rank, width), f"{path}.lora_B.weight": (width, rank)}
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "adapter_model.safetensors", shapes, mark=mark)
    settings = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": str(base) if base else None,
        "r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj", "v_proj"], "bias": "none",
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(settings | config))
    return folder


def write_tensors(file: Path, shapes: Shapes, *, mark: float = 0, metadata: dict[str, str] | None = None) -> None:
    """A safetensors file of float32 tensors that all hold `mark`."""
    import numpy as np
    from safetensors.numpy import save_file

    save_file({name: np.full(shape, mark, np.float32) for name, shape in shapes.items()}, file, metadata=metadata)
