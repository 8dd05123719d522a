"""What raters do to battles: open, vote, skip, undo, see the names. Each is one change of the store."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from align_cli.errors import AlignError
from align_cli.evals.arena.battles import Winner
from align_cli.evals.arena.store import text

State = Literal["open", "voted", "skipped"]


class Refused(AlignError):
    """What a rater asks for cannot be done any more; the message is for the rater, and names no model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ballot:
    """A battle of one rater. Model A stands on the left."""

    id: str
    rater: int
    origin: str
    item: str
    model_a: str
    model_b: str
    state: State = "open"
    is_revealed: bool = False
    num_turns: int = 0
    said: Mapping[str, Any] = field(default_factory=dict)
    """turns_a, turns_b, category, language: what a battle's record has besides; kept with the vote, live with every
    turn."""
    winner: Winner | None = None


def opened(db: sqlite3.Connection, ballot: Ballot) -> None:
    """A new battle for a rater."""
    now = time.time()
    db.execute(
        "INSERT INTO battles (id, rater, origin, item, model_a, model_b, state, opened, touched) "
        "VALUES (?, ?, ?, ?, ?, ?, 'open', ?, ?)",
        (ballot.id, ballot.rater, ballot.origin, ballot.item, ballot.model_a, ballot.model_b, now, now),
    )


def current(db: sqlite3.Connection, rater: int, origin: str) -> Ballot | None:
    """The open battle that the rater saw last; None where all are done."""
    row = db.execute(
        f"{_BALLOTS} WHERE rater = ? AND origin = ? AND state = 'open' "
        "ORDER BY touched DESC, battles.rowid DESC LIMIT 1",
        (rater, origin),
    ).fetchone()
    return _ballot(row) if row else None


def named(db: sqlite3.Connection, rater: int, battle: str) -> Ballot:
    """A battle of the rater.

    Raises:
        Refused: there is none; another rater's counts as none.
    """
    row = db.execute(f"{_BALLOTS} WHERE rater = ? AND battles.id = ?", (rater, battle)).fetchone()
    if row is None:
        raise Refused("there is no such battle")
    return _ballot(row)


def shown(db: sqlite3.Connection, rater: int, battle: str) -> None:
    """The answers are all there now: the time to the vote counts from here."""
    db.execute("UPDATE battles SET touched = ? WHERE rater = ? AND id = ?", (time.time(), rater, battle))


def said(db: sqlite3.Connection, battle: str, num_turns: int, words: Mapping[str, Any]) -> None:
    """Keep a conversation as far as it has come."""
    db.execute("UPDATE battles SET num_turns = ?, said = ? WHERE id = ?", (num_turns, text(words), battle))


def vote(
    db: sqlite3.Connection, rater: int, battle: str, winner: Winner, num_turns: int, words: Mapping[str, Any]
) -> Ballot:
    """The vote, once; the same vote again, as after a broken connection, changes nothing. What the battle was before.

    Raises:
        Refused: it has another vote, or was skipped.
    """
    found = named(db, rater, battle)
    if found.state == "voted" and found.winner == winner:
        return found
    if found.state != "open":
        raise Refused("this battle is over: " + ("it has a vote" if found.state == "voted" else "it was skipped"))
    now = time.time()
    touched = db.execute("SELECT touched FROM battles WHERE id = ?", (battle,)).fetchone()["touched"]
    db.execute("INSERT INTO votes VALUES (?, ?, ?, ?)", (battle, winner, now, round(max(now - touched, 0.0), 3)))
    db.execute(
        "UPDATE battles SET state = 'voted', num_turns = ?, said = ? WHERE id = ?", (num_turns, text(words), battle)
    )
    _remember(db, battle, "vote", winner, now)
    return found


def skip(db: sqlite3.Connection, rater: int, battle: str) -> Ballot:
    """Go past a battle. What it was before.

    Raises:
        Refused: it has a vote.
    """
    found = named(db, rater, battle)
    if found.state == "voted":
        raise Refused("this battle is over: it has a vote")
    if found.state == "open":
        db.execute("UPDATE battles SET state = 'skipped' WHERE id = ?", (battle,))
        _remember(db, battle, "skip", None, time.time())
    return found


def undo(db: sqlite3.Connection, rater: int, origin: str, can_show: Callable[[Ballot], bool]) -> Ballot:
    """Take back the rater's last vote or skip: the battle is open again. What it was before.

    Raises:
        Refused: there is none, it cannot be shown again, or the names of its models were shown: a second vote would
            not be blind.
    """
    row = db.execute(
        f"{_BALLOTS} JOIN history ON history.battle = battles.id WHERE rater = ? AND origin = ? AND state != 'open' "
        "ORDER BY history.id DESC LIMIT 1",
        (rater, origin),
    ).fetchone()
    if row is None:
        raise Refused("there is nothing to take back")
    found = _ballot(row)
    if found.is_revealed:
        raise Refused("the names were shown: this vote stands")
    if not can_show(found):
        raise Refused("its models are not here any more: this vote stands")
    now = time.time()
    db.execute("DELETE FROM votes WHERE battle = ?", (found.id,))
    db.execute("UPDATE battles SET state = 'open', touched = ? WHERE id = ?", (now, found.id))
    _remember(db, found.id, "undo", None, now)
    return found


def reveal(db: sqlite3.Connection, rater: int, battle: str) -> Ballot:
    """Show the names of a battle's models; its vote can then not be taken back.

    Raises:
        Refused: it has no vote.
    """
    found = named(db, rater, battle)
    if found.state != "voted":
        raise Refused("the names are shown after the vote")
    db.execute("UPDATE battles SET is_revealed = 1 WHERE id = ?", (battle,))
    return found


_BALLOTS = "SELECT battles.*, votes.winner AS winner FROM battles LEFT JOIN votes ON votes.battle = battles.id"


def _ballot(row: sqlite3.Row) -> Ballot:
    kept = ("id", "rater", "origin", "item", "model_a", "model_b", "state", "num_turns", "winner")
    return Ballot(**{key: row[key] for key in kept}, is_revealed=bool(row["is_revealed"]), said=json.loads(row["said"]))


def _remember(db: sqlite3.Connection, battle: str, what: str, winner: str | None, now: float) -> None:
    """Every step stays, also those that were taken back."""
    db.execute("INSERT INTO history (battle, what, winner, tstamp) VALUES (?, ?, ?, ?)", (battle, what, winner, now))
