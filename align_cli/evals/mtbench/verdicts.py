"""A judge's reply, read.

FastChat (@0e6d3e4 common.py) takes the first `[[number]]`, else the first `[number]`, whatever the number, and of two
answers looks for `[[A]]`, then `[[B]]`, then `[[C]]`. Here a reply that gives several verdicts that differ, or a rating
that is not on the scale, is unreadable: the first of two may be the judge repeating the format's example, or
marking a text of its own. Of 1,446 stored ratings and 147 comparisons by GPT-4 none reads otherwise by this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from align_cli.evals.benchmark import Ask, Verdict

LOWEST, HIGHEST = 1, 10

# FastChat's patterns; its \d+\.?\d* takes time quadratic in the digits, and matches the same.
_RATING = re.compile(r"\[\[(\d+(?:\.\d*)?)\]\]")
_RATING_IN_ONE_BRACKET = re.compile(r"\[(\d+(?:\.\d*)?)\]")
_WINNER = re.compile(r"\[\[([ABC])\]\]")
_MOST_SHOWN = 5


def read(ask: Ask, text: str) -> Verdict:
    """The score of an answer, or which of two is better; or why the reply says neither."""
    return winner_in(text, ask.models) if len(ask.models) == 2 else score_in(text)


def score_in(text: str) -> Verdict:
    """The rating that a reply about one answer gives."""
    found = _RATING.findall(text) or _RATING_IN_ONE_BRACKET.findall(text)
    scores = list(dict.fromkeys(_number(number) for number in found))
    if not scores:
        return Verdict(unreadable="the reply has no [[rating]]")
    if len(scores) > 1:
        return Verdict(unreadable=f"the reply has ratings that differ: {_listed(f'{score:g}' for score in scores)}")
    if not LOWEST <= scores[0] <= HIGHEST:
        return Verdict(unreadable=f"the rating is {scores[0]:g}, which is not between {LOWEST} and {HIGHEST}")
    return Verdict(score=scores[0])


def winner_in(text: str, models: Sequence[str]) -> Verdict:
    """Which of two models, in the order shown, a reply prefers."""
    letters = list(dict.fromkeys(_WINNER.findall(text)))
    if not letters:
        return Verdict(unreadable="the reply has no [[A]], [[B]] or [[C]]")
    if len(letters) > 1:
        return Verdict(unreadable=f"the reply has verdicts that differ: {_listed(f'[[{one}]]' for one in letters)}")
    return Verdict(winner={"A": models[0], "B": models[1], "C": "tie"}[letters[0]])


def _number(digits: str) -> float:
    """An int where there is no point, as FastChat's `literal_eval` has it: 8 is written as 8."""
    value = float(digits)
    return int(value) if "." not in digits and value < 1e15 else value


def _listed(shown: Iterable[str]) -> str:
    every = list(shown)
    return ", ".join(every[:_MOST_SHOWN]) + (", …" if len(every) > _MOST_SHOWN else "")
