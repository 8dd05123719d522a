"""Weights into memory: which class of transformers opens a model, and how an adapter comes onto it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.models.adapters import fits, lora
from align_cli.models.finding import tokenizer_files


def network(base: Path, adapter: Path | None = None, *, dtype: str = "auto", trust_remote_code: bool = False) -> Any:
    """The model in `base`, ready to answer, with the adapter beside its weights if there is one.

    A LoRA adapter is not merged: base and adapter keep the dtypes they were trained in.
    """
    opened = model_class(adapter).from_pretrained(base, dtype=dtype, trust_remote_code=trust_remote_code)
    if adapter is not None:
        from peft import PeftModel

        make_room(opened, adapter)
        opened = PeftModel.from_pretrained(opened, str(adapter))
    return opened.eval()


def outline(base: Path, adapter: Path | None = None, *, dtype: str = "auto", trust_remote_code: bool = False) -> Any:
    """The model without its weights, on the device `meta`: configuration, generation config, shapes.

    Raises:
        UsageError: its configuration cannot be read.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    try:
        config = AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)
        chosen = (config.dtype or torch.float32) if dtype == "auto" else getattr(torch, dtype)
        with torch.device("meta"):
            opened = AutoModelForCausalLM.from_config(config, dtype=chosen, trust_remote_code=trust_remote_code)
        if (base / "generation_config.json").is_file():
            opened.generation_config = GenerationConfig.from_pretrained(base)
    except (OSError, ValueError) as cause:
        raise UsageError(f"{base}: this model cannot be read: {str(cause).splitlines()[0]}") from cause
    if adapter is not None:
        make_room(opened, adapter)
    return opened.eval()


def can_converse(folder: Path) -> bool:
    """Whether what is in `folder`, as far as its files say, has a chat template and is no classifier."""
    if not tokenizer_files.template_text(folder):
        return False
    if lora.is_adapter(folder):
        return lora.read(folder).config.get("task_type") != "SEQ_CLS"
    architectures = tokenizer_files.json_of(folder / "config.json").get("architectures") or ()
    return not any(str(one).endswith("ForSequenceClassification") for one in architectures)


def make_room(opened: Any, adapter: Path) -> None:
    """Rows for the new tokens that an adapter brings embeddings for; peft loads them and does not make room."""
    one = lora.read(adapter)
    if one.is_readable and (name := fits.embedding_in(one.whole)):
        rows = one.whole[name].shape[0]
        if rows != opened.get_input_embeddings().weight.shape[0]:
            opened.resize_token_embeddings(rows, mean_resizing=False)


def model_class(adapter: Path | None) -> Any:
    """The auto class for a language model, or for the classifier (a reward model) that an adapter was trained as."""
    from functools import partial
    from types import SimpleNamespace

    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    one = lora.read(adapter) if adapter is not None and lora.is_adapter(adapter) else None
    if one is None or one.config.get("task_type") != "SEQ_CLS":
        return AutoModelForCausalLM
    labels = next((tensor.shape[0] for name, tensor in one.whole.items() if name.startswith(("score", "classif"))), 1)
    make = partial(AutoModelForSequenceClassification.from_pretrained, num_labels=labels)
    return SimpleNamespace(from_pretrained=make)
