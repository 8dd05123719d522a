"""`annotations.json`: a row there, a judgment here.

A preference that is stored is kept, also where the token probabilities that are stored beside it say otherwise:
published figures were made of it. `Judgment.why` then says how they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from align_cli.evals.alpacaeval.asks import shows_model_first
from align_cli.evals.alpacaeval.evaluation_set import id_of
from align_cli.evals.alpacaeval.original.rows import Row
from align_cli.evals.alpacaeval.verdicts import read_probabilities
from align_cli.evals.alpacaeval.versions import Version
from align_cli.evals.alpacaeval.winrates import preference_of
from align_cli.evals.benchmark import Ask, JudgmentState
from align_cli.evals.judgments import Judgment
from align_cli.files import digest_of

#: Since 0.6 the annotation's name, `preference`, stands before these.
_OF_THE_REPLY = ("price_per_example", "time_per_example", "raw_completion")
#: Every field that is taken over; `is_switched` is written by some forks and here.
KNOWN = frozenset(
    {
        *("instruction", "dataset", "output_1", "generator_1", "output_2", "generator_2", "annotator", "preference"),
        *("is_switched", *_OF_THE_REPLY, *(f"preference_{name}" for name in _OF_THE_REPLY)),
    }
)
_EQUAL = 1e-6  # of preferences: stored files are rounded to ten digits, and probabilities are not


def judgment_of(version: Version, row: Row) -> Judgment:
    """What a row says, of a file that `rows.read` has read."""
    judge, prompt = row["annotator"], row["annotator"]
    if judge == version.annotator:
        judge, prompt = version.judge, version.prompt_name
    instruction, models = row["instruction"], (row["generator_2"],)
    game = 2 if _is_switched(row) else 1
    price, seconds, raw = (_of_the_reply(row, name) for name in _OF_THE_REPLY)
    raw = raw[0] if isinstance(raw, list) and len(raw) == 1 else raw
    reply = {"choices": [dict(raw)]} if isinstance(raw, Mapping) else None
    ask = Ask(question_id=id_of(instruction), turn=1, prompt=prompt, models=models, messages=(), game=game)
    state, score, why = _outcome(row["preference"], ask, reply)
    return Judgment(
        key=digest_of(dict(row))[:32],
        question_id=ask.question_id,
        turn=1,
        game=game,
        models=models,
        judge={"model": judge, "endpoint": ""},
        prompt=prompt,
        reference=row["generator_1"],
        state=state,
        why=why,
        score=score,
        text=_words(raw),
        reply=reply,
        cost=_number(price),
        seconds=_number(seconds) or 0.0,
    )


def row_of(judgment: Judgment, *, instruction: str, dataset: str, outputs: tuple[str, str], annotator: str) -> Row:
    """A judgment as a row; `outputs` are the reference's and the model's.

    `is_switched` is written only where the answers were not shown in the order that alpaca_eval draws.
    """
    is_read = judgment.state == "ok" and judgment.score is not None
    is_switched = judgment.game == 2
    row = {
        "instruction": instruction,
        "output_1": outputs[0],
        "generator_1": judgment.reference,
        "dataset": dataset,
        "output_2": outputs[1],
        "generator_2": judgment.models[0],
        "annotator": annotator,
        "preference": 1.0 + (judgment.score or 0.0) / 100.0 if is_read else None,
        "price_per_example": judgment.cost,
        "time_per_example": judgment.seconds or None,
        "raw_completion": _raw(judgment),
    }
    return row if is_switched == shows_model_first(instruction) else {**row, "is_switched": is_switched}


def _outcome(stored: Any, ask: Ask, reply: Any) -> tuple[JudgmentState, float | None, str]:
    """State, score and what to say about them."""
    preference = preference_of(stored)
    read = read_probabilities(ask, reply).score if _has_one_token(reply) else None
    said = "" if read is None else f"its token probabilities say {1 + read / 100:.6f}"
    if preference is None:
        is_none = stored is None or stored != stored  # NaN alone is not itself
        why = "alpaca_eval found no verdict" if is_none else f"the stored preference is {stored!r}, not from 1 to 2"
        return "unreadable", None, f"{why}, but {said}" if said else why
    if read is not None and abs(preference - read / 100) > _EQUAL:
        return "ok", 100.0 * preference, f"the stored preference of {1 + preference:.6f} is kept, but {said}"
    return "ok", 100.0 * preference, ""


def _has_one_token(reply: Any) -> bool:
    """Whether the reply is a single token with probabilities; of a longer one another token may be the verdict."""
    try:
        return len(reply["choices"][0]["logprobs"]["content"]) == 1
    except (KeyError, IndexError, TypeError):
        return False


def _is_switched(row: Row) -> bool:
    stored = row.get("is_switched")
    return stored if isinstance(stored, bool) else shows_model_first(row["instruction"])


def _of_the_reply(row: Row, name: str) -> Any:
    later = row.get(f"preference_{name}")
    return row.get(name) if later is None else later


def _number(value: Any) -> float | None:
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    return float(value) if is_one else None


def _words(raw: Any) -> str:
    """The reply's words."""
    if isinstance(raw, str):
        return raw
    if not isinstance(raw, Mapping):
        return ""
    message = raw.get("message")
    said = raw.get("text") or (message.get("content") if isinstance(message, Mapping) else None)
    return said if isinstance(said, str) else ""


def _raw(judgment: Judgment) -> Any:
    """The endpoint's choice as it came, else the reply's words; None without a reply."""
    try:
        return dict(judgment.reply["choices"][0])
    except (KeyError, IndexError, TypeError, ValueError):
        return judgment.text or None
