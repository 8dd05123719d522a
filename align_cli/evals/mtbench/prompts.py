"""What the judge is sent: FastChat's prompts, filled in as FastChat fills them in.

Source: FastChat @0e6d3e4 fastchat/llm_judge/common.py (run_judge_single, run_judge_pair) and gen_judgment.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from align_cli import registry
from align_cli.errors import UsageError
from align_cli.evals.benchmark import Assets, Question
from align_cli.evals.mtbench.questions import needs_references

PROMPTS = "mt_bench/judge_prompts.jsonl"
#: The first is what published scores were made with; 13 of its 30 answers are wrong. The second has them put right
#: (FastChat pull request 3158).
REFERENCES = ("gpt-4", "gpt-4-0125-preview")
#: Of every request to a judge.
PARAMETERS: Mapping[str, Any] = {"temperature": 0, "max_tokens": 2048}
#: Stands between a prompt's name and the references shown in it, where these are not the usual ones.
_WITH = "+"

#: Reference answers by question: one a turn.
References = Mapping[int | str, Sequence[str]]


def prompts(assets: Assets) -> Mapping[str, Mapping[str, str]]:
    """The judge's prompts by name."""
    return _by(assets.path(PROMPTS), "name")


def references(assets: Assets, name: str) -> References:
    """A set of reference answers; an empty name is the usual set.

    Raises:
        UsageError: there is no such set.
    """
    name = name or REFERENCES[0]
    if name not in REFERENCES:
        raise UsageError(f'there are no reference answers "{name}"', hint=registry.suggest(name, REFERENCES))
    rows = _by(assets.path(f"mt_bench/reference_answer/{name}.jsonl"), "question_id")
    return {question: row["choices"][0]["turns"] for question, row in rows.items()}


def name_of(question: Question, turn: int, *, pairs: bool) -> str:
    """The prompt that judges an answer to this question in this turn (from 1)."""
    kind = "math-v1" if needs_references(question.category) else "v2" if pairs else "v1"
    return f"{'pair' if pairs else 'single'}-{kind}{'-multi-turn' if turn > 1 else ''}"


def with_references(prompt: str, name: str) -> str:
    """The prompt's name, marked with its set of references unless that is the usual one."""
    return prompt if name in ("", REFERENCES[0]) or "-math-" not in prompt else f"{prompt}{_WITH}{name}"


def references_of(prompt: str) -> str | None:
    """The other way: which set a prompt of this name shows; None: none."""
    if "-math-" not in prompt:
        return None
    return prompt.partition(_WITH)[2] or REFERENCES[0]


def messages(
    prompt: Mapping[str, str], question: Question, answers: Sequence[Sequence[str]], references: Sequence[str]
) -> tuple[Mapping[str, str], ...]:
    """The system's and the user's message.

    Args:
        prompt: A row of `judge_prompts.jsonl`.
        question: With one turn, or two.
        answers: Of one model, or two in the order shown: a text a turn, as many as the prompt shows.
        references: A text a turn; empty where the prompt shows none.
    """
    turns = len(answers[0])
    filled = {f"ref_answer_{number}": text for number, text in enumerate(references, start=1)}
    if turns == 1:
        filled["question"] = question.turns[0]
    else:
        filled |= {f"question_{number}": text for number, text in enumerate(question.turns, start=1)}
    for letter, texts in zip(["_a", "_b"] if len(answers) == 2 else [""], answers, strict=True):
        for number, text in enumerate(texts, start=1):
            filled[f"answer{letter}" if turns == 1 else f"answer{letter}_{number}"] = text
    return (
        {"role": "system", "content": prompt["system_prompt"]},
        {"role": "user", "content": prompt["prompt_template"].format(**filled)},
    )


@cache
def _by(path: Path, field: str) -> Mapping[Any, Mapping[str, Any]]:
    """The rows of an asset, which never changes, by one of their fields."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row[field]: row for row in rows}
