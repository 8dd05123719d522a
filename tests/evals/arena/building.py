"""Battles for tests."""

from __future__ import annotations

import math
import random
from itertools import count
from typing import Any

from align_cli.evals.arena.battles import Battle

_NUMBERS = count()


def battle(a: str = "a", b: str = "b", winner: Any = "model_a", **facts: Any) -> Battle:
    return Battle(**{"id": f"v{next(_NUMBERS)}", "model_a": a, "model_b": b, "winner": winner, **facts})


def battles(*results: tuple[str, str, str, int]) -> list[Battle]:
    """`(model a, model b, winner, how often)`."""
    return [battle(a, b, winner) for a, b, winner, times in results for _ in range(times)]


def said(*texts: str) -> tuple[dict[str, str], ...]:
    """A conversation that the person begins."""
    return tuple({"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(texts))


def drawn(strengths: dict[str, float], number: int, *, ties: float = 0.2, seed: int = 1) -> list[Battle]:
    """Votes as the model has them: strengths are logits."""
    chance = random.Random(seed)
    made = []
    for _ in range(number):
        a, b = chance.sample(sorted(strengths), 2)
        better = chance.random() < 1 / (1 + math.exp(strengths[b] - strengths[a]))
        made.append(battle(a, b, "tie" if chance.random() < ties else "model_a" if better else "model_b"))
    return made
