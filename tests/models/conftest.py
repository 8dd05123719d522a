"""A one-layer model and adapters on it, and a store of its own for each test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.models.tiny import tiny_model

Adapt = Callable[..., Path]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def llama(tmp_path: Path) -> Callable[..., Path]:
    """`llama(name, **config)`: a whole tiny model in `tmp_path / name`, with a tokenizer."""

    def make(name: str = "base", *, seed: int = 0, dtype: str = "float32", shard: str = "1GB", **config: Any) -> Path:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        folder = tiny_model(tmp_path / name)
        chosen = {
            "vocab_size": 259, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "eos_token_id": 258,
            "pad_token_id": 258, "bos_token_id": 256, "initializer_range": 0.3,
        }  # fmt: skip
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**(chosen | config))).to(getattr(torch, dtype))
        model.save_pretrained(folder, max_shard_size=shard)
        return folder

    return make


@pytest.fixture
def adapt(tmp_path: Path) -> Adapt:
    """`adapt(name, base, **settings)`: a LoRA adapter on `base` in `tmp_path / name` whose every tensor is random."""

    def make(name: str, base: Path, *, seed: int = 1, tokens: int | None = None, **settings: Any) -> Path:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
        if tokens is not None:
            model.resize_token_embeddings(tokens)
        chosen = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
        adapted = get_peft_model(model, LoraConfig(**(chosen | settings)))
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.1)
        adapted.save_pretrained(str(tmp_path / name))
        return tmp_path / name

    return make


def logits(model: Any) -> Any:
    """(1, 40, vocabulary) float32: what a model says to a fixed row of tokens."""
    import torch

    ids = torch.tensor([[(7 * step + 3) % 256 for step in range(40)]])
    with torch.inference_mode():
        return model.eval()(input_ids=ids).logits.float()


def through_peft(adapter: Path, base: Path | None = None, *, tokens: int | None = None) -> Any:
    """The model that plain peft opens: the base that the adapter names (or `base`), the adapter on it."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    named = base or json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    model = AutoModelForCausalLM.from_pretrained(named, dtype="auto")
    if tokens is not None:
        model.resize_token_embeddings(tokens)
    return PeftModel.from_pretrained(model, str(adapter))


def edit(folder: Path, **values: Any) -> None:
    """Change keys of an adapter's config; None removes one."""
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text()) | values
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
