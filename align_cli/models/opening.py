"""Which class of transformers opens a model, and how many labels a classifier has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from align_cli.models import lora


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
