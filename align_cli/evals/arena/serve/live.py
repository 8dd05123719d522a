"""Answers made while the rater waits: both models at once, and both shown in step.

A faster model must not be known by its speed. Words are let out by one clock, every `TICK_S` an event that has both
sides: while both speak, each side gets as many characters as the slower one has; a side that has ended lets the other
go on. A fault is one sentence, the same for all models.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol

from align_cli.evals.arena.ballots import Ballot, Refused
from align_cli.evals.arena.serve.choosing import Choice
from align_cli.evals.arena.serve.pairing import Pairing

TICK_S = 0.08
MOST_TURNS = 20
LONGEST_PROMPT = 20_000
_PER_TICK = 40  # characters of a side: 500 a second, faster than anybody reads
_SILENCE_S = 15.0  # after which a stream says that it is still there
_WAITING_S = 300.0  # for both to have ended

Keep = Callable[[Ballot, int, Mapping[str, Any]], Awaitable[None]]
Messages = Sequence[Mapping[str, str]]


class Model(Protocol):
    """Who answers. Several conversations at a time are the model's own affair."""

    name: str

    def answer(self, messages: Messages) -> AsyncIterator[str]:
        """The words of the answer as they come; raises where there is none."""


@dataclass
class _Side:
    """What one model has said so far, and how much of it is shown."""

    text: str = ""
    shown: int = 0
    is_over: bool = False
    has_failed: bool = False

    @property
    def left(self) -> int:
        return len(self.text) - self.shown

    @property
    def is_done(self) -> bool:
        return self.is_over and not self.left


@dataclass
class _Turn:
    """A question and what comes of it; events stay, for whoever comes back in mid-stream."""

    prompt: str
    sides: tuple[_Side, _Side] = field(default_factory=lambda: (_Side(), _Side()))
    events: list[dict[str, Any]] = field(default_factory=list)
    is_over: bool = False
    more: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def put(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self.more.set()
        self.more = asyncio.Event()


class LiveAnswers:
    """Models that answer at once."""

    origin = "live"
    num_items: int | None = None

    def __init__(
        self, models: Sequence[Model], pairing: Pairing, sides: Callable[[str, str, str, int], tuple[str, str]],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.models: Sequence[str] = [model.name for model in models]
        self._models = {model.name: model for model in models}
        self._pairing, self._sides, self._say = pairing, sides, say
        self._turns: dict[str, _Turn] = {}

    def remember(self, ballots: Sequence[Ballot]) -> None:
        """See `Answers`: a prompt is its rater's own."""

    def next(self, rater: int, battle: str) -> Choice | None:
        """See `Answers`."""
        first, second = max(combinations(self.models, 2), key=lambda pair: (round(self._pairing.gain(*pair), 9), pair))
        return Choice("", *self._sides(battle, first, second, rater))

    def has(self, ballot: Ballot) -> bool:
        """See `Answers`."""
        return {ballot.model_a, ballot.model_b} <= self._models.keys()

    def shown(self, ballot: Ballot) -> Mapping[str, Any]:
        """See `Answers`."""
        said = zip(ballot.said.get("turns_a", ()), ballot.said.get("turns_b", ()), strict=True)
        words = [(a["content"], b["content"]) for a, b in said]
        turns = [
            {"prompt": words[at][0], "a": words[at + 1][0], "b": words[at + 1][1]} for at in range(0, len(words), 2)
        ]
        turn = self._turns.get(ballot.id)
        asked = turn.prompt if turn is not None and not turn.is_over else None
        return {"category": "", "turns": turns, "asked": asked}

    def words(self, ballot: Ballot) -> tuple[int, Mapping[str, Any]]:
        """See `Answers`."""
        turn = self._turns.get(ballot.id)
        if turn is not None and not turn.is_over:
            raise Refused("the answers are not whole yet")
        if not ballot.num_turns:
            raise Refused("there are no answers to vote on yet")
        return ballot.num_turns, ballot.said

    def over(self, ballot: Ballot) -> None:
        """See `Answers`: a battle that was left while its models speak makes them stop."""
        turn = self._turns.pop(ballot.id, None)
        if turn is not None and turn.task is not None:
            turn.task.cancel()

    async def ask(self, ballot: Ballot, text: str, keep: Keep) -> dict[str, Any]:
        """Begin a turn; its words come over `events`.

        Raises:
            Refused: the battle is over, a turn is going on, or the prompt is none.
        """
        running = self._turns.get(ballot.id)
        if ballot.state != "open" or not self.has(ballot):
            raise Refused("this battle is over")
        if running is not None and not running.is_over:
            raise Refused("the answers are not whole yet")
        if not text.strip() or len(text) > LONGEST_PROMPT:
            raise Refused(f"a prompt has 1 to {LONGEST_PROMPT:,} characters")
        if ballot.num_turns >= MOST_TURNS:
            raise Refused(f"a battle has at most {MOST_TURNS} turns")
        turn = self._turns[ballot.id] = _Turn(text)
        turn.task = asyncio.create_task(self._run(ballot, turn, keep))
        return {"turn": ballot.num_turns + 1}

    async def events(self, ballot: Ballot, last: int) -> AsyncIterator[bytes]:
        """The turn's events after number `last`, as server-sent events, to its end."""
        turn = self._turns.get(ballot.id)
        if turn is None:
            yield _event(last + 1, {"end": True})  # the server was started anew: what was kept is all there is
            return
        at = last
        while True:
            more = turn.more
            for event in turn.events[at:]:
                at += 1
                yield _event(at, event)
            if turn.is_over:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(more.wait(), _SILENCE_S)
                continue
            yield b": still there\n\n"

    async def _run(self, ballot: Ballot, turn: _Turn, keep: Keep) -> None:
        """Have both speak, let the words out, keep the turn."""
        speaking = [
            asyncio.create_task(self._speak(name, self._messages(ballot, key, turn.prompt), side))
            for name, key, side in zip(
                (ballot.model_a, ballot.model_b), ("turns_a", "turns_b"), turn.sides, strict=True
            )
        ]
        failed: list[str] = []
        try:
            await self._let_out(turn, speaking)
            failed = [letter for letter, side in zip("ab", turn.sides, strict=True) if side.has_failed]
            if not failed:
                await keep(ballot, ballot.num_turns + 1, self._kept(ballot, turn))
        except Exception as error:  # noqa: BLE001 - the rater has to hear that it is over
            self._say(f"a turn failed: {type(error).__name__}: {error}")
            failed = ["a", "b"]
        finally:
            for task in speaking:
                task.cancel()
            turn.is_over = True
            turn.put({"end": True, "failed": failed} if failed else {"end": True})

    async def _let_out(self, turn: _Turn, speaking: Sequence[asyncio.Task[None]]) -> None:
        a, b = turn.sides
        loop = asyncio.get_running_loop()
        latest = loop.time() + _WAITING_S
        while not (a.is_done and b.is_done):
            await asyncio.sleep(TICK_S)
            if loop.time() > latest:
                for side in turn.sides:
                    side.has_failed |= not side.is_over
                    side.is_over = True
            both = min(side.left for side in turn.sides)
            sizes = [min(_PER_TICK, side.left if other.is_done else both) for side, other in ((a, b), (b, a))]
            if any(sizes):
                turn.put({key: _taken(side, size) for key, side, size in zip("ab", turn.sides, sizes, strict=True)})

    async def _speak(self, name: str, messages: Messages, side: _Side) -> None:
        try:
            async for words in self._models[name].answer(messages):
                side.text += words
            if not side.text.strip():
                raise ValueError("it said nothing")
        except Exception as error:  # noqa: BLE001 - whatever it is, the rater is told the same
            self._say(f"{name} gave no answer: {error or type(error).__name__}")
            side.has_failed = True
            side.text = side.text[: side.shown]
        finally:
            side.is_over = True

    def _messages(self, ballot: Ballot, key: str, prompt: str) -> Messages:
        return [*ballot.said.get(key, ()), {"role": "user", "content": prompt}]

    def _kept(self, ballot: Ballot, turn: _Turn) -> dict[str, Any]:
        return {
            key: [*self._messages(ballot, key, turn.prompt), {"role": "assistant", "content": side.text}]
            for key, side in zip(("turns_a", "turns_b"), turn.sides, strict=True)
        }


def _taken(side: _Side, size: int) -> str:
    words = side.text[side.shown : side.shown + size]
    side.shown += len(words)
    return words


def _event(number: int, event: Mapping[str, Any]) -> bytes:
    return f"id: {number}\ndata: {json.dumps(event)}\n\n".encode()
