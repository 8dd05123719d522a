"""The 805 instructions of AlpacaEval, and the answers to them that models are held against."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from align_cli.errors import DataError
from align_cli.evals.benchmark import Assets, Question, Reference
from align_cli.files import digest_of

#: Version 2's reference outputs; both versions' instructions are read from it.
BASELINE = "alpaca_eval/alpaca_eval_gpt4_baseline.json"
#: Version 1's reference outputs. No checksum of it is published.
BASELINE_1 = "alpaca_eval/alpaca_eval.json"
#: Verdicts on version 2's reference when told to be wordy or brief, and the difficulty of each instruction.
GAMED = "alpaca_eval/df_gamed.csv"

#: How most models on its leaderboard, Zephyr among them, were sampled (their models_configs/*/configs.yaml).
TEMPERATURE, MAX_NEW_TOKENS = 0.7, 2048


def questions(assets: Assets) -> Sequence[Question]:
    """The instructions, in the file's order, which `df_gamed.csv` counts in."""
    return [question_of(row["instruction"], row["dataset"]) for row in _rows(assets.path(BASELINE))]


def question_of(instruction: str, dataset: str = "") -> Question:
    """An instruction as a question; its part of the evaluation set is its category."""
    return Question(
        id=id_of(instruction),
        category=dataset,
        turns=(instruction,),
        temperature=TEMPERATURE,
        max_new_tokens=MAX_NEW_TOKENS,
    )


def id_of(instruction: str) -> str:
    """A question is its instruction: whatever a file's order, and whichever rows are missing, it is found again."""
    return digest_of(instruction)[:12]


def reference(assets: Assets, asset: str) -> Reference:
    """A version's own reference outputs.

    Raises:
        DataError: the file cannot be had, or has other instructions.
    """
    path = assets.path(asset)
    rows = _rows(path)
    if asset != BASELINE:  # no checksum says that it is the file it should be
        known = {question.id for question in questions(assets)}
        strange = sum(id_of(row["instruction"]) not in known for row in rows)
        if strange or len(rows) != len(known):
            what = f"{len(rows)} rows, {strange} of them with instructions that are not AlpacaEval's {len(known)}"
            raise DataError(f'{path} is not "{asset}": {what}', hint="get the file again")
    return Reference(name=rows[0]["generator"], answers={id_of(row["instruction"]): (row["output"],) for row in rows})


@cache
def _rows(path: Path) -> Sequence[Mapping[str, Any]]:
    """The rows of an asset, which never changes.

    Raises:
        DataError: it is no such file; possible only where no checksum is known.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        if rows and all(isinstance(row[name], str) for row in rows for name in ("instruction", "output", "generator")):
            return list(rows)
        raise TypeError("a field is no text")
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise DataError(f"{path}: these are no outputs of AlpacaEval: {type(cause).__name__}: {cause}") from None
