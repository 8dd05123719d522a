"""Two games make a match: the same two answers, shown in either order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import NamedTuple

from align_cli.evals.judgments import Judgment


class Match(NamedTuple):
    """Two models' answers to one turn, compared twice."""

    model_1: str
    """Shown first in the first game."""
    model_2: str
    game_1: Judgment | None
    """None: not judged, or not yet."""
    game_2: Judgment | None

    @property
    def winner(self) -> str | None:
        """One of the models, or `tie`, which it also is when the games differ; None where a game counts for nothing.

        As FastChat @0e6d3e4 show_result.py.
        """
        if self.game_1 is None or self.game_2 is None or {self.game_1.state, self.game_2.state} != {"ok"}:
            return None
        return self.game_1.winner if self.game_1.winner == self.game_2.winner else "tie"


def matches(judgments: Iterable[Judgment]) -> list[Match]:
    """The matches that judgments of pairs make, in the order in which they began; others are passed over.

    Where a judge saw the same pair in the same order more than once, the first goes with the first, and so on.
    """
    found: dict[tuple[object, ...], list[Judgment]] = {}
    for judgment in judgments:
        if judgment.is_pair:
            found.setdefault((*_judge(judgment), frozenset(judgment.models)), []).append(judgment)
    return [match for games in found.values() for match in _paired(games)]


def repeated(judgments: Iterable[Judgment]) -> int:
    """How many judge what another one before them judged, by the same judge and prompt."""
    seen: set[tuple[object, ...]] = set()
    number = 0
    for judgment in judgments:
        what = (*_judge(judgment), judgment.models)
        number += what in seen
        seen.add(what)
    return number


def _judge(judgment: Judgment) -> tuple[object, ...]:
    judge = judgment.judge
    return judge["model"], judge["endpoint"], judgment.prompt, judgment.question_id, judgment.turn


def _paired(games: list[Judgment]) -> Iterable[Match]:
    begun = next((game for game in games if game.game == 1), None)
    shown = begun.models if begun else games[0].models[::-1]
    first = [game for game in games if game.models == shown]
    second = [game for game in games if game.models != shown]
    return (Match(shown[0], shown[1], one, other) for one, other in zip_longest(first, second))
