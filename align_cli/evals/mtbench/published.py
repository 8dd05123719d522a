"""The figures that FastChat prints, computed as it computes them: what published MT-Bench scores are.

Source: FastChat @0e6d3e4 fastchat/llm_judge/show_result.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from typing import NamedTuple

from align_cli.evals.judgments import Judgment
from align_cli.evals.mtbench.games import matches


class Scores(NamedTuple):
    """A model's means; None where nothing was scored."""

    turn_1: float | None
    turn_2: float | None
    average: float | None
    """Of both turns' scores taken together: with some of them missing it is not the mean of the two means."""
    num_scored: int
    num_dropped: int
    """Judgments without a score: FastChat's -1."""


class WinRates(NamedTuple):
    """How a model fared in its matches, of both turns; the rates are shares of them all."""

    wins: int
    losses: int
    ties: int

    @property
    def num_matches(self) -> int:
        """Those in which both games have a verdict."""
        return self.wins + self.losses + self.ties

    @property
    def win_rate(self) -> float:
        """Wins only."""
        return self.wins / self.num_matches

    @property
    def loss_rate(self) -> float:
        """Losses only."""
        return self.losses / self.num_matches

    @property
    def win_rate_adjusted(self) -> float:
        """A tie is half a win."""
        return (self.wins + 0.5 * self.ties) / self.num_matches


def scores(judgments: Iterable[Judgment]) -> dict[str, Scores]:
    """By model, the best average first. Answers that were judged more than once count as often."""
    by_model: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        if not judgment.is_pair:
            by_model.setdefault(judgment.models[0], []).append(judgment)
    found = {model: _scores(its) for model, its in by_model.items()}
    return dict(sorted(found.items(), key=lambda item: -(item[1].average or 0)))


def win_rates(judgments: Iterable[Judgment], *, baseline: str | None = None) -> dict[str, WinRates]:
    """By model, the best adjusted win rate first. With a baseline: only matches against it, and without its own row.

    A match counts when both its games have a verdict; when these differ it is a tie.
    """
    counts: dict[str, list[int]] = {}
    for match in matches(judgments):
        models = (match.model_1, match.model_2)
        if match.winner is None or (baseline is not None and baseline not in models):
            continue
        for model in models:
            place = 2 if match.winner == "tie" else 0 if match.winner == model else 1
            counts.setdefault(model, [0, 0, 0])[place] += 1
    found = {model: WinRates(*its) for model, its in counts.items() if model != baseline}
    return dict(sorted(found.items(), key=lambda item: -item[1].win_rate_adjusted))


def _scores(judgments: list[Judgment]) -> Scores:
    turns: dict[int, list[float]] = {1: [], 2: []}
    for judgment in judgments:
        if judgment.state == "ok" and judgment.score is not None:
            turns.setdefault(judgment.turn, []).append(judgment.score)
    every = [score for its in turns.values() for score in its]
    return Scores(_mean(turns[1]), _mean(turns[2]), _mean(every), len(every), len(judgments) - len(every))


def _mean(values: list[float]) -> float | None:
    return fsum(values) / len(values) if values else None
