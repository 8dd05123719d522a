"""Questions answered by a model: greedy, batched, each a conversation of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from align_cli.models.locate import chain
from align_cli.models.speaking.opened import Opened, open_chain


def answer(
    model: str | Path,
    questions: Sequence[str],
    *,
    revision: str | None = None,
    max_new_tokens: int = 96,
    batch_size: int = 16,
) -> list[str]:
    """One reply per question, in order. `model` is a folder, a run or any name that a recipe may give a model.

    Raises:
        UsageError: the model cannot be found or opened, or has no chat template.
    """
    opened = open_chain(chain(str(model), revision=revision))
    replies: list[str] = []
    for start in range(0, len(questions), batch_size):
        replies += _batch(opened, questions[start : start + batch_size], max_new_tokens)
    return replies


def _batch(opened: Opened, questions: Sequence[str], max_new_tokens: int) -> list[str]:
    import torch

    tokenizer = opened.tokenizer
    prompts = [opened.prompt(_conversation(opened, question)) for question in questions]
    inputs = tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(opened.device)
    with torch.inference_mode():
        output = opened.network.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=list(opened.end_tokens),
        )
    new = output[:, inputs["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]


def _conversation(opened: Opened, question: str) -> list[dict[str, str]]:
    system = opened.served.system
    turns = [{"role": "system", "content": system}] if system is not None else []
    return [*turns, {"role": "user", "content": question}]
