"""The arena: what raters may do, whether the answers are stored or made while they wait.

Nothing that leaves here before a vote says which model speaks: a battle is a random name and two texts.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from align_cli.errors import UsageError
from align_cli.evals.arena import ballots
from align_cli.evals.arena.ballots import Ballot, Refused
from align_cli.evals.arena.battles import Winner
from align_cli.evals.arena.serve.choosing import Choice, Choosing
from align_cli.evals.arena.serve.material import Material
from align_cli.evals.arena.serve.pairing import Pairing
from align_cli.evals.arena.store import Store
from align_cli.files import digest_of

#: What the page calls them, and the battle's record.
CHOICES: dict[str, Winner] = {"a": "model_a", "b": "model_b", "tie": "tie", "both_bad": "both_bad"}
_WORDS = {winner: word for word, winner in CHOICES.items()}


class Answers(Protocol):
    """Where a battle's answers are from."""

    origin: str
    """`stored` or `live`."""
    models: Sequence[str]
    num_items: int | None
    """That a rater may see; None: as many as wished."""

    def remember(self, ballots: Sequence[Ballot]) -> None:
        """What raters have been shown before."""

    def next(self, rater: int, battle: str) -> Choice | None:
        """A battle for the rater."""

    def has(self, ballot: Ballot) -> bool:
        """Whether its models, and its item, are among those that are served now."""

    def shown(self, ballot: Ballot) -> Mapping[str, Any]:
        """The battle for the page."""

    def words(self, ballot: Ballot) -> tuple[int, Mapping[str, Any]]:
        """Number of turns and what was said, as the battle's record keeps it.

        Raises:
            Refused: there is nothing to vote on yet.
        """

    def over(self, ballot: Ballot) -> None:
        """The rater is through with it."""


class Arena:
    """One set of models, one file of battles."""

    def __init__(self, store: Store, answers: Answers, pairing: Pairing) -> None:
        self.answers = answers
        self._store, self._pairing = store, pairing
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        rows = store.do(_all)
        answers.remember([one for one in rows if one.origin == answers.origin])
        for one in rows:
            self._count(one, 1)

    async def now(self, rater: int) -> dict[str, Any]:
        """The rater's battle, opened if need be, and how far the rater is."""
        async with self._locks[rater]:
            return await self._now(rater)

    async def vote(self, rater: int, battle: str, word: str) -> dict[str, Any]:
        """Take a vote; it is on the disk when this returns. Then as `now`.

        Raises:
            Refused: the word is none, or the battle cannot be voted on.
        """
        if word not in CHOICES:
            raise Refused(f"a vote is one of {', '.join(CHOICES)}")
        winner = CHOICES[word]

        def change(db: sqlite3.Connection) -> tuple[Ballot, _Standing]:
            found = ballots.named(db, rater, battle)
            num_turns, said = (found.num_turns, found.said) if found.state == "voted" else self.answers.words(found)
            before = ballots.vote(db, rater, battle, winner, num_turns, said)
            return before, _standing(db, rater, self.answers.origin)

        async with self._locks[rater]:
            before, standing = await self._store.run(change)
            if before.state == "open":
                self._closed(before)
                self._pairing.voted(before.model_a, before.model_b, winner)
            return await self._shown(rater, standing, wants_new=self.answers.origin == "stored")

    async def skip(self, rater: int, battle: str) -> dict[str, Any]:
        """Go past a battle. Then as `now`.

        Raises:
            Refused: it has a vote.
        """
        async with self._locks[rater]:
            before = await self._store.run(lambda db: ballots.skip(db, rater, battle))
            if before.state == "open":
                self._closed(before)
            return await self._now(rater)

    async def undo(self, rater: int) -> dict[str, Any]:
        """Take the last vote or skip back. Then as `now`.

        Raises:
            Refused: there is none, or its names were shown.
        """
        async with self._locks[rater]:
            before = await self._store.run(lambda db: ballots.undo(db, rater, self.answers.origin, self.answers.has))
            if before.winner is not None:
                self._pairing.voted(before.model_a, before.model_b, before.winner, -1)
            self._pairing.opened(before.model_a, before.model_b)
            return await self._now(rater)

    async def reveal(self, rater: int, battle: str) -> dict[str, Any]:
        """The names of a battle's models.

        Raises:
            Refused: it has no vote.
        """
        async with self._locks[rater]:
            found = await self._store.run(lambda db: ballots.reveal(db, rater, battle))
        return {"battle": found.id, "a": found.model_a, "b": found.model_b}

    async def ballot(self, rater: int, battle: str) -> Ballot:
        """A battle of the rater.

        Raises:
            Refused: there is none.
        """
        return await self._store.run(lambda db: ballots.named(db, rater, battle))

    async def keep(self, ballot: Ballot, num_turns: int, said: Mapping[str, Any]) -> None:
        """Keep a conversation as far as it has come, and count the time to the vote from here."""

        def change(db: sqlite3.Connection) -> None:
            ballots.said(db, ballot.id, num_turns, said)
            ballots.shown(db, ballot.rater, ballot.id)

        await self._store.run(change)

    async def _now(self, rater: int) -> dict[str, Any]:
        standing = await self._store.run(lambda db: _standing(db, rater, self.answers.origin))
        return await self._shown(rater, standing)

    async def _shown(self, rater: int, standing: _Standing, *, wants_new: bool = True) -> dict[str, Any]:
        found = standing.current
        if found is not None and not self.answers.has(found):
            found = None  # opened when other models were served; it waits for them
        if found is None and wants_new:
            found = await self._opened(rater)
        return {
            "battle": None if found is None else {"id": found.id, **self.answers.shown(found)},
            "progress": {"voted": standing.voted, "skipped": standing.skipped, "items": self.answers.num_items},
            "last": standing.last,
        }

    async def _opened(self, rater: int) -> Ballot | None:
        battle = secrets.token_urlsafe(12)
        choice = self.answers.next(rater, battle)
        if choice is None:
            return None
        made = Ballot(
            id=battle, rater=rater, origin=self.answers.origin,
            item=choice.item, model_a=choice.model_a, model_b=choice.model_b,
        )  # fmt: skip
        self.answers.remember([made])
        self._pairing.opened(made.model_a, made.model_b)
        await self._store.run(lambda db: ballots.opened(db, made))
        return made

    def _closed(self, ballot: Ballot) -> None:
        self._pairing.opened(ballot.model_a, ballot.model_b, -1)
        self.answers.over(ballot)

    def _count(self, ballot: Ballot, times: int) -> None:
        if ballot.winner is not None:
            self._pairing.voted(ballot.model_a, ballot.model_b, ballot.winner, times)
        elif ballot.state == "open":
            self._pairing.opened(ballot.model_a, ballot.model_b, times)


class StoredAnswers:
    """Answers that were made beforehand."""

    origin = "stored"

    def __init__(self, material: Material, choosing: Choosing) -> None:
        self.models: Sequence[str] = material.models
        self.num_items: int | None = len(material.items)
        self._material, self._choosing = material, choosing

    def remember(self, ballots: Sequence[Ballot]) -> None:
        """See `Answers`."""
        self._choosing.remember(ballots)

    def next(self, rater: int, battle: str) -> Choice | None:
        """See `Answers`."""
        return self._choosing.next(rater)

    def has(self, ballot: Ballot) -> bool:
        """See `Answers`."""
        known = self._material.answers
        return all(ballot.item in known.get(model, ()) for model in (ballot.model_a, ballot.model_b))

    def shown(self, ballot: Ballot) -> Mapping[str, Any]:
        """See `Answers`."""
        item = self._material.items[ballot.item]
        sides = [self._material.answers[model][ballot.item] for model in (ballot.model_a, ballot.model_b)]
        turns = zip(item.prompts, *sides, strict=True)
        return {"category": item.category, "turns": [{"prompt": said, "a": a, "b": b} for said, a, b in turns]}

    def words(self, ballot: Ballot) -> tuple[int, Mapping[str, Any]]:
        """See `Answers`."""
        item = self._material.items[ballot.item]
        turns_a, turns_b = (self._material.said(ballot.item, model) for model in (ballot.model_a, ballot.model_b))
        return len(item.prompts), {"turns_a": turns_a, "turns_b": turns_b, "category": item.category}

    def over(self, ballot: Ballot) -> None:
        """See `Answers`."""


def demand_same_answers(store: Store, material: Material) -> None:
    """Raise where votes in the file are on other answers of the same models to the same items; keep what these are.

    Raises:
        UsageError: naming the models.
    """
    wanted = {
        (model, item): digest_of([list(material.items[item].prompts), list(words)])[:32]
        for model, found in material.answers.items()
        for item, words in found.items()
    }

    def change(db: sqlite3.Connection) -> list[str]:
        there = {(row["model"], row["item"]): row["digest"] for row in db.execute("SELECT * FROM answers")}
        changed = sorted(
            {model for (model, item), digest in wanted.items() if there.get((model, item), digest) != digest}
        )
        if not changed:
            rows = [(*key, digest) for key, digest in wanted.items() if key not in there]
            db.executemany("INSERT INTO answers VALUES (?, ?, ?)", rows)
        return changed

    if changed := store.do(change):
        raise UsageError(
            f"{store.path}: the answers of {', '.join(changed)} are not those that were voted on there",
            hint="--output-dir gives these votes a folder of their own; name=PLACE gives a model another name",
        )


def _all(db: sqlite3.Connection) -> list[Ballot]:
    """Every battle, without what was said, oldest first."""
    rows = db.execute(
        "SELECT battles.id, rater, origin, item, model_a, model_b, state, winner FROM battles "
        "LEFT JOIN votes ON votes.battle = battles.id ORDER BY battles.rowid"
    )
    return [Ballot(**dict(row)) for row in rows]


class _Standing(NamedTuple):
    """Where a rater stands."""

    current: Ballot | None
    voted: int
    skipped: int
    last: dict[str, Any] | None
    """The last vote or skip, which may be taken back."""


def _standing(db: sqlite3.Connection, rater: int, origin: str) -> _Standing:
    count = "SELECT count(*) AS n FROM battles WHERE rater = ? AND origin = ? AND state = ?"
    voted, skipped = (db.execute(count, (rater, origin, state)).fetchone()["n"] for state in ("voted", "skipped"))
    row = db.execute(
        "SELECT battles.id, state, is_revealed, model_a, model_b, votes.winner FROM history "
        "JOIN battles ON battles.id = history.battle LEFT JOIN votes ON votes.battle = battles.id "
        "WHERE rater = ? AND origin = ? AND state != 'open' ORDER BY history.id DESC LIMIT 1",
        (rater, origin),
    ).fetchone()
    last = None
    if row is not None:
        names = {"a": row["model_a"], "b": row["model_b"]} if row["is_revealed"] else None
        last = {"battle": row["id"], "vote": _WORDS.get(row["winner"]), "names": names}
    return _Standing(ballots.current(db, rater, origin), voted, skipped, last)
