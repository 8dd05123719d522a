"""Rows as FastChat writes them, made up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

#: Folders of stored judgments.
STORED = ("granite_instructlab", "llama3_dreamingpanda", "mamba_zephyr_jxiw", "phi3_stefanstud")


def answer(question_id: Any = 81, *turns: str, model: str = "a", **others: Any) -> dict[str, Any]:
    return {
        "question_id": question_id,
        "answer_id": "NzHFUGJNYVgzCyEuYSS6YQ",
        "model_id": model,
        "choices": [{"index": 0, "turns": list(turns or ("first", "second"))}],
        "tstamp": 1700000000.25,
        **others,
    }


def single(question_id: Any = 81, score: Any = 8, *, model: str = "a", **others: Any) -> dict[str, Any]:
    return {
        "question_id": question_id,
        "model": model,
        "judge": ["gpt-4", "single-v1"],
        "user_prompt": "Rate it.",
        "judgment": f"Rating: [[{score}]]",
        "score": score,
        "turn": 1,
        "tstamp": 1700000000.25,
        **others,
    }


def pair(question_id: Any = 81, winners: str = "AB", **others: Any) -> dict[str, Any]:
    """`winners`: what the judge says in the two games; the second shows model_2 as A."""
    g1 = {"A": "model_1", "B": "model_2", "C": "tie"}
    g2 = {"A": "model_2", "B": "model_1", "C": "tie"}
    return {
        "question_id": question_id,
        "model_1": "a",
        "model_2": "b",
        "g1_winner": g1[winners[0]],
        "g2_winner": g2[winners[1]],
        "judge": ["gpt-4", "pair-v2"],
        "g1_user_prompt": "a, then b",
        "g1_judgment": f"[[{winners[0]}]]",
        "g2_user_prompt": "b, then a",
        "g2_judgment": f"[[{winners[1]}]]",
        "turn": 1,
        "tstamp": 1700000000.25,
        **others,
    }


def written(path: Path, rows: Iterable[Mapping[str, Any] | str]) -> Path:
    """A file of these rows, or lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
