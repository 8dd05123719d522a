"""Answers that name a model: who reads them may vote for a name."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from align_cli.evals.arena.battles import Battle, Turns

_SHORTEST = 4  # letters of a part of a model's name that tells it


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaks:
    """Battles in which an answer names a model or its maker, and the person had not."""

    battles: frozenset[str]
    """Their ids."""
    by_model: dict[str, int]
    """Whose answers do, most first."""
    words: dict[str, int]
    """Which words, in how many answers."""


def leaks_of(battles: Sequence[Battle]) -> Leaks:
    """Where names are told. A word that the person used first tells nothing.

    Beside the words of `identity_words.toml`, the models' own names and their parts of four letters and more.
    """
    models = {name for battle in battles for name in (battle.model_a, battle.model_b)}
    words_of = _finder(frozenset(models))
    found: set[str] = set()
    by_model: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for battle in battles:
        for model, turns in ((battle.model_a, battle.turns_a), (battle.model_b, battle.turns_b)):
            if told := _told(turns, words_of):
                found.add(battle.id)
                by_model[model] += 1
                words.update(told)
    return Leaks(battles=frozenset(found), by_model=_sorted(by_model), words=_sorted(words))


def _told(turns: Turns, words_of: Callable[[str], frozenset[str]]) -> set[str]:
    asked: set[str] = set()
    told: set[str] = set()
    for turn in turns:
        words = words_of(turn["content"])
        if turn["role"] == "assistant":
            told |= words - asked
        else:
            asked |= words
    return told


def _finder(models: frozenset[str]) -> Callable[[str], frozenset[str]]:
    """Which of the words a text holds, casefolded."""
    words = {word.casefold() for word in _table()["words"]}
    for model in models:
        name = model.casefold().rpartition("/")[2]
        parts = {name, *re.split(r"[^\w.]+|_", name)}
        words |= {part for part in parts if _tells(part)}
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
    plain = [word for word in longest_first if word.isascii()]

    @cache  # raters see the same answers
    def find(text: str) -> frozenset[str]:
        if text.isascii():  # most texts hold none of them, and a look for each is far quicker than the pattern
            small = text.lower()
            if not any(word in small for word in plain):
                return frozenset()
        return frozenset(match[0].casefold() for match in pattern.finditer(text))

    return find


def _tells(part: str) -> bool:
    letters = sum(sign.isalpha() for sign in part)
    return letters >= _SHORTEST and part.rstrip("0123456789.") not in _table()["plain"]


@cache
def _table() -> dict[str, frozenset[str]]:
    text = (files("align_cli.evals.arena") / "identity_words.toml").read_text(encoding="utf-8")
    return {name: frozenset(words) for name, words in tomllib.loads(text).items()}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
