"""`model_judgment/JUDGE_single.jsonl` and `JUDGE_pair.jsonl`: rows there, judgments here.

A score or winner that FastChat stored is kept, also where our own reading of the reply is another: published figures
were made of it. `Judgment.why` then says how they differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from align_cli.evals.benchmark import JudgmentState, Verdict
from align_cli.evals.judgments import Judgment
from align_cli.evals.mtbench.fastchat import rows
from align_cli.evals.mtbench.fastchat.rows import ERROR, Malformed, Row
from align_cli.evals.mtbench.games import Match
from align_cli.evals.mtbench.prompts import references_of
from align_cli.evals.mtbench.verdicts import score_in, winner_in
from align_cli.files import digest_of

_NO_SCORE, _NO_WINNER = -1, "error"


class _Outcome(NamedTuple):
    """What a row stores of one reply, and what to say about it."""

    state: JudgmentState
    why: str
    score: float | None = None
    winner: str | None = None


def read_single(path: Path) -> list[Judgment]:
    """Judgments of answers alone.

    Raises:
        DataError: a row is malformed.
    """
    return _keyed(rows.read(path, lambda row: (row, [_single(row)])))


def read_pair(path: Path) -> list[Judgment]:
    """Judgments of pairs, two games a row.

    Raises:
        DataError: a row is malformed.
    """
    return _keyed(rows.read(path, lambda row: (row, _pair(row))))


def single_row_of(judgment: Judgment) -> Row:
    """A judgment of one answer as FastChat's row."""
    return {
        "question_id": judgment.question_id,
        "model": judgment.models[0],
        "judge": [judgment.judge["model"], judgment.prompt],
        "user_prompt": judgment.shown,
        "judgment": _reply(judgment),
        "score": _NO_SCORE if judgment.state != "ok" or judgment.score is None else judgment.score,
        "turn": judgment.turn,
        "tstamp": judgment.tstamp,
    }


def pair_row_of(match: Match) -> Row:
    """Two games as FastChat's row; one that was not played is an error there."""
    known = match.game_1 or match.game_2
    assert known is not None
    return {
        "question_id": known.question_id,
        "model_1": match.model_1,
        "model_2": match.model_2,
        "g1_winner": _side(match.game_1, match),
        "g2_winner": _side(match.game_2, match),
        "judge": [known.judge["model"], known.prompt],
        "g1_user_prompt": match.game_1.shown if match.game_1 else "",
        "g1_judgment": _reply(match.game_1),
        "g2_user_prompt": match.game_2.shown if match.game_2 else "",
        "g2_judgment": _reply(match.game_2),
        "turn": known.turn,
        "tstamp": max(game.tstamp for game in (match.game_1, match.game_2) if game),
    }


def _single(row: Row) -> Judgment:
    stored, text = rows.take(row, "score", float), rows.take(row, "judgment", str)
    read = score_in(text)
    if stored == _NO_SCORE:
        outcome = _uncounted(text, read)
    elif read.score == stored:
        outcome = _Outcome("ok", "", score=stored)
    else:
        outcome = _Outcome("ok", f"FastChat's score of {stored:g} is kept, but {_said(read)}", score=stored)
    model, turn = rows.take(row, "model", str), _turn(row)
    return _judgment(row, (model,), turn, text=text, user_prompt=_text(row, "user_prompt"), outcome=outcome)


def _pair(row: Row) -> list[Judgment]:
    models = (rows.take(row, "model_1", str), rows.take(row, "model_2", str))
    if models[0] == models[1]:
        raise Malformed(f'"model_1" and "model_2" are the same: "{models[0]}"')
    turn = _turn(row) if "turn" in row else 1
    found = []
    for game, shown in ((1, models), (2, models[::-1])):
        stored, text = rows.take(row, f"g{game}_winner", str), rows.take(row, f"g{game}_judgment", str)
        names = {"model_1": models[0], "model_2": models[1], "tie": "tie", _NO_WINNER: None}
        if stored not in names:
            raise Malformed(f'"g{game}_winner" is "{stored}", not one of {", ".join(names)}')
        winner, read = names[stored], winner_in(text, shown)
        if winner is None:
            outcome = _uncounted(text, read)
        elif read.winner == winner:
            outcome = _Outcome("ok", "", winner=winner)
        else:
            outcome = _Outcome("ok", f"FastChat's winner {winner} is kept, but {_said(read)}", winner=winner)
        user_prompt = _text(row, f"g{game}_user_prompt")
        found.append(_judgment(row, shown, turn, game=game, text=text, user_prompt=user_prompt, outcome=outcome))
    return found


def _turn(row: Row) -> int:
    turn = rows.take(row, "turn", int)
    if turn not in (1, 2):
        raise Malformed(f'"turn" is {turn}, not 1 or 2')
    return turn


def _judgment(row: Row, models: Sequence[str], turn: int, *, outcome: _Outcome, **known: Any) -> Judgment:
    judge = rows.take(row, "judge", list)
    if len(judge) != 2 or not all(isinstance(name, str) for name in judge):
        raise Malformed('"judge" is not [model, prompt]')
    return Judgment(
        key="",
        question_id=rows.take_id(row),
        turn=turn,
        models=tuple(models),
        judge={"model": judge[0], "endpoint": ""},
        prompt=judge[1],
        reference=references_of(judge[1]) or "",
        tstamp=rows.take(row, "tstamp", float) if "tstamp" in row else 0.0,
        **outcome._asdict(),
        **known,
    )


def _keyed(read: Iterable[tuple[Row, list[Judgment]]]) -> list[Judgment]:
    """Give each a key: of its row, and of how often an equal row came before. A file read twice gives equal keys."""
    seen: Counter[str] = Counter()
    found = []
    for row, judgments in read:
        digest = digest_of(row)
        found += [replace(one, key=digest_of([digest, one.game, seen[digest]])[:32]) for one in judgments]
        seen[digest] += 1
    return found


def _uncounted(text: str, read: Verdict) -> _Outcome:
    if text == ERROR:
        return _Outcome("failed", "FastChat got no reply from the judge")
    return _Outcome("unreadable", read.unreadable or f"FastChat found no verdict, but {_said(read)}")


def _said(read: Verdict) -> str:
    if read.unreadable:
        return read.unreadable
    return f"the reply says {read.winner}" if read.score is None else f"the reply says {read.score:g}"


def _text(row: Row, name: str) -> str:
    return rows.take(row, name, str) if row.get(name) is not None else ""


def _reply(judgment: Judgment | None) -> str:
    if judgment is None:
        return ERROR
    return judgment.text if judgment.state in ("ok", "unreadable") else judgment.text or ERROR


def _side(game: Judgment | None, match: Match) -> str:
    if game is None or game.state != "ok" or game.winner is None:
        return _NO_WINNER
    return {match.model_1: "model_1", match.model_2: "model_2"}.get(game.winner, "tie")
