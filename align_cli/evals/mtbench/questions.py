"""The questions, each with the temperature that its category is answered at."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from align_cli.evals.benchmark import Assets, Question

QUESTIONS = "mt_bench/question.jsonl"


def questions(assets: Assets) -> Sequence[Question]:
    """The 80 questions, in the file's order."""
    lines = assets.path(QUESTIONS).read_text(encoding="utf-8").splitlines()
    return [question_of(json.loads(line)) for line in lines]


def question_of(row: Mapping[str, Any]) -> Question:
    """A row of `question.jsonl` as a question.

    `required_temperature`, which no row of MT-Bench has, stands above the category's. FastChat looks at it only when an
    API answers; here a question is the same question whoever answers it.
    """
    facts = categories()
    usual = facts["temperatures"].get(row["category"], facts["other_temperature"])
    return Question(
        id=row["question_id"],
        category=row["category"],
        turns=tuple(row["turns"]),
        temperature=float(row.get("required_temperature", usual)),
        max_new_tokens=facts["max_new_tokens"],
    )


def needs_references(category: str) -> bool:
    """Whether its answers are judged beside reference answers."""
    return category in categories()["with_references"]


@cache
def categories() -> Mapping[str, Any]:
    """`categories.toml`."""
    return tomllib.loads(Path(__file__).with_name("categories.toml").read_text(encoding="utf-8"))
