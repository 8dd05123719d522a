"""Questions answered by a model in a local folder: greedy, batched, with plain transformers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError


def answer(model: Path, questions: Sequence[str], *, max_new_tokens: int = 96, batch_size: int = 16) -> list[str]:
    """One reply per question, in order, each to a conversation of its own.

    `model` is a folder that transformers can open, or an adapter's folder that names its base model.
    Decoding is greedy and stops at the tokenizer's or the model's end token, so the same model gives the same words.

    Raises:
        UsageError: the model has no chat template.
    """
    import torch
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    if tokenizer.chat_template is None:
        raise UsageError(f"{model}: the tokenizer has no chat template", hint="train with chat_template set")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    network = _load(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device).eval()

    replies: list[str] = []
    for start in range(0, len(questions), batch_size):
        chats = [[{"role": "user", "content": question}] for question in questions[start : start + batch_size]]
        inputs = tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        ).to(device)
        with torch.inference_mode():
            output = network.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=_end_tokens(tokenizer, network),
            )
        new = output[:, inputs["input_ids"].shape[1] :]
        replies += [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return replies


def _load(model: Path) -> Any:
    """The model; for an adapter its base with the adapter on top."""
    from transformers import AutoModelForCausalLM

    adapter = model / "adapter_config.json"
    if not adapter.is_file():
        return AutoModelForCausalLM.from_pretrained(model, dtype="auto")
    from peft import PeftModel

    base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), model)


def _end_tokens(tokenizer: Any, network: Any) -> list[int]:
    """Both the tokenizer's end token and the model's: an instruct model often knows two."""
    configured = network.generation_config.eos_token_id
    known = configured if isinstance(configured, list) else [configured]
    return sorted({token for token in (*known, tokenizer.eos_token_id) if token is not None})
