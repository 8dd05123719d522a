"""A judge's reply, read: how far it prefers the model's answer to the reference's, in percent.

The original writes a preference between 1, the first output is better, and 2; the second output is the model's. A score
here is the same times 100, less 100: 0, 50 for a draw, 100. Its mean is the win rate.

Source: alpaca_eval 0.6.6 completion_parsers.py, logprob_parser and ranking_parser.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from typing import Any

from align_cli.evals.benchmark import Ask, Verdict

DRAW = 50.0
_ROUNDING = 1e-3  # a log probability may be above 0 by so much
_LARGEST = 700.0  # of a difference whose exponential is still a number
#: What the prompt of version 2 calls the two answers, in the order shown.
FIRST, SECOND = "m", "M"


def read_probabilities(ask: Ask, reply: Any) -> Verdict:
    """Of version 2: how probable it was that the reply's first token named the model's answer.

    Only the two names count; one that is not among the likeliest tokens is taken as impossible.
    """
    tokens = _likeliest(reply)
    if not tokens:
        return Verdict(unreadable="the reply has no probabilities of tokens (logprobs), which this benchmark reads")
    first, second = (tokens.get(name, -math.inf) for name in (FIRST, SECOND))
    if max(first, second) == -math.inf:
        shown = ", ".join(repr(token) for token in list(tokens)[:5])
        return Verdict(unreadable=f"neither {FIRST} nor {SECOND} is among the likeliest first tokens: {shown}")
    if not (first <= _ROUNDING and second <= _ROUNDING):
        return Verdict(unreadable=f"the probabilities cannot be: log P({FIRST}) = {first}, log P({SECOND}) = {second}")
    return _score(ask, 1 / (1 + math.exp(min(second - first, _LARGEST))))


def read_ranking(ask: Ask, text: str) -> Verdict:
    """Of version 1: which of two answers the reply ranks first.

    The original takes a reply that is a list of Python dictionaries and nothing else. Here such a list also counts
    where words or a code fence stand around it. Two first ranks are no verdict; there they are one for `model_1`.
    """
    rank = _rank(text)
    if rank is None and "[" in text and "]" in text:
        rank = _rank(text[text.index("[") : text.rindex("]") + 1])
    if rank is None:
        return Verdict(unreadable="the reply is no list of models with the ranks 1 and 2")
    return _score(ask, 1.0 if rank == 1 else 0.0)


def _score(ask: Ask, first: float) -> Verdict:
    """From how far the answer shown first is preferred; in game 2 that is the model's."""
    return Verdict(score=100.0 * (first if ask.game == 2 else 1.0 - first))


def _likeliest(reply: Any) -> dict[str, float] | None:
    """The first token's alternatives with their log probabilities; None where the reply has none."""
    try:
        top = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        found = {str(one["token"]): float(one["logprob"]) for one in top}
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return found


def _rank(text: str) -> int | None:
    """The rank of model_1, 1 or 2."""
    try:
        listed = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    if not isinstance(listed, Sequence):
        return None
    given = {one.get("model"): one.get("rank") for one in listed if isinstance(one, Mapping)}
    first, second = given.get("model_1"), given.get("model_2")
    return int(first) if first in (1, 2) and first != second else None
