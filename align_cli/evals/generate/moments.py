"""How far the answers are, and how long the rest will take."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from align_cli.evals.benchmark import Answer
from align_cli.evals.generate.talks import Talk

#: Seconds whose tokens say how fast it goes now.
_WINDOW_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """What there is to show now."""

    turns_done: int
    """Of those that this run was to make."""
    turns: int
    """Those that it was to make; turns behind a prompt that fills the context are no longer among them."""
    tokens: int
    """Made in this run."""
    tokens_per_second: float
    """Of the last half minute."""
    seconds_left: float | None
    """None while the first prompts are read."""
    rows: int
    """Answers that are being made together."""


class Clock:
    """Counts, and makes moments of what it counted.

    The time left: the tokens that are still to come, over the present speed. How many come is not known; what is
    known is how often a token so far was the last of its answer. If that goes on, an answer that may have n more
    tokens gets (1 - (1 - h)^n) / h of them, h being that share; n, while no answer has ended by itself.
    """

    def __init__(self, talks: Sequence[Talk]) -> None:
        self._turns = sum(talk.left for talk in talks)
        self._done = 0
        self._waiting = Counter[int]()  # turns that are not whole, by the tokens they may have
        for talk in talks:
            self._waiting[talk.question.max_new_tokens] += talk.left
        self._tokens = self._ended = 0
        self._has_begun = False
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def count(self, talk: Talk, answer: Answer) -> None:
        """A turn of the talk, the one that is next, is answered."""
        over = 1 if answer.is_one else talk.left
        self._done += 1
        self._turns -= over - 1
        self._waiting[talk.question.max_new_tokens] -= over
        self._ended += answer.state == "ok"

    def tick(self, new: int, *, begins: bool = False) -> None:
        """So many tokens more; `begins`: the first of an answer, after its prompt was read."""
        self._tokens += new
        now = time.monotonic()
        self._has_begun = self._has_begun or not begins
        if not self._has_begun:  # reading the first prompts says nothing of how fast it goes then
            self._recent.clear()
        self._recent.append((now, self._tokens))
        while now - self._recent[0][0] > _WINDOW_S and len(self._recent) > 2:
            self._recent.popleft()

    def moment(self, flying: Sequence[tuple[int, int]]) -> Moment:
        """Now; `flying` are the rows in flight: the tokens that each may still get, and might get at first."""
        (then, before), (now, tokens) = self._recent[0], self._recent[-1]
        speed = (tokens - before) / (now - then) if now > then else 0.0
        waiting = self._waiting.copy()
        waiting.subtract(first for _, first in flying)
        to_come = sum(self._expected(left) for left, _ in flying)
        to_come += sum(turns * self._expected(room) for room, turns in waiting.items())
        return Moment(
            turns_done=self._done,
            turns=self._turns,
            tokens=self._tokens,
            tokens_per_second=speed,
            seconds_left=to_come / speed if speed else None,
            rows=len(flying),
        )

    def _expected(self, room: int) -> float:
        share = self._ended / self._tokens if self._tokens else 0.0
        return (1 - (1 - share) ** room) / share if share else float(room)
