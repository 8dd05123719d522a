"""Rows as alpaca_eval writes them, made up."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from align_cli.evals.alpacaeval.asks import shows_model_first

ANNOTATOR, REFERENCE = "weighted_alpaca_eval_gpt4_turbo", "gpt4_1106_preview"
#: The first is shown with the model's answer first, the second with the reference's.
SWITCHED, PLAIN = (next(f"Do {n}." for n in range(99) if shows_model_first(f"Do {n}.") is it) for it in (True, False))


def output(instruction: str = PLAIN, text: Any = "ours", *, model: str = "m", **others: Any) -> dict[str, Any]:
    return {"dataset": "koala", "instruction": instruction, "output": text, "generator": model, **others}


def annotation(instruction: str = PLAIN, preference: Any = 1.75, *, model: str = "m", **others: Any) -> dict[str, Any]:
    return {
        "instruction": instruction,
        "output_1": "theirs",
        "generator_1": REFERENCE,
        "dataset": "koala",
        "output_2": "ours",
        "generator_2": model,
        "annotator": ANNOTATOR,
        "preference": preference,
        **others,
    }


def choice(first: float) -> dict[str, Any]:
    """A judge's reply that gives the answer shown first this probability."""
    top = [{"token": name, "logprob": math.log(p)} for name, p in (("m", first), ("M", 1 - first))]
    content = [{"token": "m", "logprob": math.log(first), "top_logprobs": top}]
    message = {"role": "assistant", "content": "m"}
    return {"finish_reason": "length", "index": 0, "logprobs": {"content": content}, "message": message, "text": "m"}


def written(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(rows)), encoding="utf-8")
    return path
