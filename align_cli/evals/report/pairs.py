"""Two models' answers against each other: who won, and how much the order in which they were shown decided.

Every pair of answers is judged twice, in either order. A battle is the two games together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from align_cli.evals.judgments import Judgment
from align_cli.evals.report.material import UNKNOWN, Material
from align_cli.evals.report.statistics import Estimate, Row, mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Battle:
    """The two games over one turn of one question."""

    model: str
    opponent: str
    question: str
    category: str
    turn: int
    games: tuple[Judgment | None, Judgment | None]
    """With the model's answer shown first, and with the opponent's; None where it has not been judged."""

    @property
    def is_readable(self) -> bool:
        """Whether both games have a verdict; FastChat's `show_result.py` drops the others."""
        return all(game is not None and game.state == "ok" and game.winner for game in self.games)

    @property
    def signs(self) -> tuple[int, int]:
        """Of a readable battle, each game: 1 the model won, 0 a tie, -1 the opponent won."""
        first, second = (self._sign(game) for game in self.games)
        return first, second

    @property
    def result(self) -> int:
        """Of a readable battle: 1 where the model won both games, -1 where the opponent did, else 0, a tie."""
        first, second = self.signs
        return first if first == second else 0

    @property
    def leaning(self) -> int:
        """Of a readable battle: 1 where the answer shown first fared better than second, -1 worse, 0 consistent."""
        first, second = self.signs
        return (first > second) - (first < second)

    def _sign(self, game: Judgment | None) -> int:
        winner = game.winner if game else None
        return (winner == self.model) - (winner == self.opponent)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Shares of the readable battles."""

    win: Estimate
    tie: Estimate
    """Either game a tie, or the two contradict each other."""
    loss: Estimate
    adjusted: Estimate
    """(wins + ½ ties) / battles: FastChat's `win_rate_adjusted`."""

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {name: getattr(self, name).as_dict() for name in ("win", "tie", "loss", "adjusted")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One model against another, or against all others where `opponent` is empty."""

    model: str
    opponent: str
    rates: Rates
    by_turn: Mapping[int, Rates]
    by_category: Mapping[str, Rates]
    consistent: Estimate
    """Both games with the same verdict (Zheng et al. 2023, table 2)."""
    leans_first: Estimate
    """The answer shown first fared better than the same answer shown second: biased toward first, ibid."""
    leans_second: Estimate
    battles: int
    """Readable or not."""
    unreadable: int
    """Battles with a game whose verdict does not count; left out of all shares."""
    unfinished: int
    """Battles with one game judged so far; left out too."""

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {
            "model": self.model,
            "opponent": self.opponent or None,
            **self.rates.as_dict(),
            "by_turn": {str(turn): one.as_dict() for turn, one in self.by_turn.items()},
            "by_category": {name: one.as_dict() for name, one in self.by_category.items()},
            "consistent": self.consistent.as_dict(),
            "leans_first": self.leans_first.as_dict(),
            "leans_second": self.leans_second.as_dict(),
            "battles": self.battles,
            "unreadable": self.unreadable,
            "unfinished": self.unfinished,
        }


def battles_of(material: Material) -> list[Battle]:
    """The games, two by two; by pair, question and turn.

    Which game is which is read off the order shown, so that a pair judged from both models' sides is the same pair.
    A battle that was fought twice is two battles.
    """
    category_of = material.category_of
    places = {str(question.id): number for number, question in enumerate(material.questions)}
    # The first of game 1 is the model, the other its baseline.
    leads = sorted({tuple(game.models if game.game == 1 else game.models[::-1]) for game in material.games})
    lead_of = {frozenset(pair): pair[0] for pair in reversed(leads)}
    found: dict[tuple[str, str, str, int, str], tuple[list[Judgment], list[Judgment]]] = {}
    for game in material.games:
        model = lead_of[frozenset(game.models)]
        opponent = next((name for name in game.models if name != model), model)
        both = found.setdefault((model, opponent, str(game.question_id), game.turn, game.prompt), ([], []))
        both[0 if game.models[0] == model else 1].append(game)
    order = sorted(found, key=lambda key: (*key[:2], places.get(key[2], len(places)), *key[2:]))
    return [
        Battle(
            model=key[0],
            opponent=key[1],
            question=key[2],
            category=category_of.get(key[2], UNKNOWN),
            turn=key[3],
            games=games,
        )
        for key in order
        for games in zip_longest(*found[key])
    ]


def pairs_of(battles: Sequence[Battle], material: Material) -> list[Pair]:
    """Every two models that fought, and, where a model fought several, each model against all others."""
    by_pair: dict[tuple[str, str], list[Battle]] = {}
    for battle in battles:
        by_pair.setdefault((battle.model, battle.opponent), []).append(battle)
    pairs = [_pair(model, opponent, some, material) for (model, opponent), some in sorted(by_pair.items())]
    if len(pairs) > 1:
        names = sorted({name for pair in by_pair for name in pair})
        pairs += [
            _pair(name, "", [one for battle in battles for one in _side(battle, name)], material) for name in names
        ]
    return pairs


def _side(battle: Battle, name: str) -> list[Battle]:
    """The battle as `name` sees it; nothing where it did not fight."""
    if battle.model == name:
        return [battle]
    if battle.opponent != name:
        return []
    return [
        Battle(
            model=name,
            opponent=battle.model,
            question=battle.question,
            category=battle.category,
            turn=battle.turn,
            games=(battle.games[1], battle.games[0]),
        )
    ]


def _pair(model: str, opponent: str, battles: Sequence[Battle], material: Material) -> Pair:
    counted = [battle for battle in battles if battle.is_readable]
    unfinished = sum(None in battle.games for battle in battles)
    return Pair(
        model=model,
        opponent=opponent,
        rates=_rates(counted),
        by_turn={turn: _rates([one for one in counted if one.turn == turn]) for turn in material.turns},
        by_category={name: _rates([one for one in counted if one.category == name]) for name in material.categories},
        consistent=_share(counted, (battle.leaning == 0 for battle in counted)),
        leans_first=_share(counted, (battle.leaning > 0 for battle in counted)),
        leans_second=_share(counted, (battle.leaning < 0 for battle in counted)),
        battles=len(battles),
        unreadable=len(battles) - len(counted) - unfinished,
        unfinished=unfinished,
    )


def _rates(battles: Sequence[Battle]) -> Rates:
    results = [battle.result for battle in battles]
    return Rates(
        win=_share(battles, (result > 0 for result in results)),
        tie=_share(battles, (result == 0 for result in results)),
        loss=_share(battles, (result < 0 for result in results)),
        adjusted=_share(battles, ((result + 1) / 2 for result in results)),
    )


def _share(battles: Sequence[Battle], values: Iterable[float]) -> Estimate:
    return mean(
        Row(battle.question, battle.category, float(value)) for battle, value in zip(battles, values, strict=True)
    )
