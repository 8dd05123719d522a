"""Answers in the making, one a slot: continuous batching.

A prompt is computed alone; then every step brings each row its next token, all rows in one pass. A row that is whole
makes room at once for the next turn of its question, which goes on from what the slot holds, or for another question.
When no question waits, the rows that are left close up.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from align_cli.errors import LaunchError
from align_cli.evals.benchmark import Answer
from align_cli.evals.generate import talks
from align_cli.evals.generate.choosing import Chooser
from align_cli.evals.generate.forward import Forward, group_size
from align_cli.evals.generate.job import Job
from align_cli.evals.generate.slots import Shape, Slots
from align_cli.evals.generate.streams import Stream
from align_cli.evals.generate.talks import Prompt, Talk
from align_cli.models import memory

#: Rows change places when attention would otherwise pass over so much more than they hold, of what they hold.
_WASTE = 0.15


@dataclass(kw_only=True)
class Row:
    """An answer in the making."""

    talk: Talk
    asked: Prompt
    stream: Stream
    tokens: list[int] = field(default_factory=list)
    """Prompt and answer so far."""
    held: int = 0
    """How many of them its slot holds."""
    near_ties: int = 0
    begun: float = field(default_factory=time.monotonic)

    @property
    def temperature(self) -> float:
        """Of the question."""
        return self.talk.question.temperature

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is sampled."""
        return self.talk.is_greedy

    @property
    def new(self) -> int:
        """Tokens of the answer."""
        return len(self.tokens) - len(self.asked.tokens)

    @property
    def left(self) -> int:
        """Tokens that it may still get."""
        return self.asked.room - self.new


@dataclass(kw_only=True)
class Batch:
    """Rows in their slots, and the questions that wait for one."""

    job: Job
    model: Any
    shapes: Sequence[Shape]
    chooser: Chooser
    prefix: Sequence[int]
    """Tokens that prompts begin with; computed once."""
    slots: int

    def __post_init__(self) -> None:
        self._waiting: deque[Row] = deque()
        self._rows: list[Row] = []  # a row's index is its slot
        self._forward: Forward | None = None
        self._is_in_order = False

    def run(self) -> None:
        """Answer all turns of all of them, unless somebody stops it.

        Raises:
            LaunchError: memory does not hold even one.
        """
        rows = [row for talk in self.job.waiting if (row := self._row(talk)) is not None]
        # The longest first, so that it shows at once whether memory holds them.
        self._waiting.extend(sorted(rows, key=lambda row: -len(row.tokens)))
        while (self._waiting or self._rows) and not self.job.is_stopped():
            try:
                self._advance()
            except (RuntimeError, MemoryError) as error:
                if not memory.ran_out(error):
                    raise
                self._halve(error)
        self._forward = None

    def _advance(self) -> None:
        """Fill the slots, then bring every row one token."""
        forward = self._forward = self._forward or self._begin()
        while self._waiting and len(self._rows) < self.slots:
            self._rows.append(self._waiting.popleft())
            self._lay_prefix(forward, len(self._rows) - 1)
        while (slot := self._unread()) is not None:
            if self.job.is_stopped():
                return
            row = self._rows[slot]
            logits = forward.feed(slot, row.held, row.tokens[row.held :])
            row.held = len(row.tokens)
            self._take(logits, [slot], begins=True)
        if not self._rows:
            return
        self._order(forward)
        logits = forward.step([row.tokens[-1] for row in self._rows], [row.held for row in self._rows])
        for row in self._rows:
            row.held += 1
        self._take(logits, range(len(self._rows)))

    def _begin(self) -> Forward:
        """New buffers; one slot more than there are rows holds what prompts begin with."""
        slots = Slots(self.shapes, self.slots + bool(self.prefix))
        forward = Forward(self.model, slots)
        if self.prefix:
            forward.feed(self.slots, 0, self.prefix)
        return forward

    def _unread(self) -> int | None:
        """A slot whose row has more to read than its last token."""
        return next((slot for slot, row in enumerate(self._rows) if len(row.tokens) - row.held > 1), None)

    def _lay_prefix(self, forward: Forward, slot: int) -> None:
        """Give a new row what its prompt begins with."""
        row, length = self._rows[slot], len(self.prefix)
        self._is_in_order = False
        if length and len(row.tokens) > length and row.tokens[:length] == list(self.prefix):
            forward.slots.copy(self.slots, slot, length)
            row.held = length

    def _take(self, logits: Any, slots: Sequence[int], *, begins: bool = False) -> None:
        """Choose the next token of these rows, whose logits they are."""
        rows = [self._rows[slot] for slot in slots]
        tokens = self.chooser.choose(logits, rows)
        for row, token in zip(rows, tokens, strict=True):
            row.tokens.append(token)
        self.job.clock.tick(len(tokens), begins=begins)
        for slot in sorted(slots, reverse=True):  # from the last, as the last row takes the place of one that leaves
            row = self._rows[slot]
            if row.tokens[-1] in self.job.opened.end_tokens or row.left <= 0:
                self._finish(slot)
        self.job.on_progress(
            self.job.clock.moment([(row.left, row.talk.question.max_new_tokens) for row in self._rows])
        )

    def _finish(self, slot: int) -> None:
        """A row is whole: its slot is for the next turn, for the next question, or for the last row."""
        assert self._forward is not None
        row = self._rows[slot]
        new = row.tokens[len(row.asked.tokens) :]
        answer = talks.answer(
            self.job.opened, row.talk, row.asked, new, near_ties=row.near_ties, seconds=time.monotonic() - row.begun
        )
        self.job.give(row.talk, answer)
        self._is_in_order = False
        following = self._row(row.talk, row.stream) if row.talk.left else None
        if following is not None:
            held = row.tokens[: row.held]
            pairs = zip(held, following.tokens[:-1], strict=False)  # one token is read, to say the next
            following.held = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            self._rows[slot] = following
        elif self._waiting:
            self._rows[slot] = self._waiting.popleft()
            self._lay_prefix(self._forward, slot)
        else:
            last = self._rows.pop()
            if slot < len(self._rows):
                self._forward.slots.copy(len(self._rows), slot, last.held)
                self._rows[slot] = last

    def _row(self, talk: Talk, stream: Stream | None = None) -> Row | None:
        """A row for the next turn; None, and the answer that says so, where it does not fit into the context."""
        asked = talks.prompt(self.job.opened, talk)
        if isinstance(asked, Answer):
            self.job.give(talk, asked)
            return None
        stream = stream or Stream(self.job.seed, talk.drawn)
        return Row(talk=talk, asked=asked, stream=stream, tokens=list(asked.tokens))

    def _order(self, forward: Forward) -> None:
        """Let rows of similar length be neighbours, if they are not and it is worth the moving."""
        if self._is_in_order:
            return
        self._is_in_order = True
        size = group_size(len(self._rows), self.model.device.type)
        lengths = [row.held for row in self._rows]
        if _passed(lengths, size) - _passed(sorted(lengths), size) < _WASTE * sum(lengths):
            return
        ranks = sorted(range(len(lengths)), key=lengths.__getitem__)
        wanted = [0] * len(ranks)  # by slot: in which group its row belongs
        for rank, slot in enumerate(ranks):
            wanted[slot] = rank // size
        for slot in range(len(self._rows)):
            group = slot // size
            if wanted[slot] == group:
                continue
            # One that belongs here; of those, one in whose place this row belongs.
            others = [other for other in range(slot + 1, len(wanted)) if wanted[other] == group]
            other = next((one for one in others if one // size == wanted[slot]), others[0])
            longer = max(self._rows[slot].held, self._rows[other].held)
            forward.slots.swap(slot, other, longer)
            self._rows[slot], self._rows[other] = self._rows[other], self._rows[slot]
            wanted[slot], wanted[other] = wanted[other], wanted[slot]

    def _halve(self, error: BaseException) -> None:
        """Go on with half the slots: all rows wait again, with the tokens that they have."""
        if self.slots == 1:
            raise LaunchError(
                f"{self.job.opened.name}: memory ran out with one question at a time",
                hint="--dtype bfloat16 halves a float32 model; a smaller --max-new-tokens shortens answers",
            ) from error
        self.slots //= 2
        self.job.say(f"memory ran out: going on with {self.slots} rows")
        for row in reversed(self._rows):
            row.held = 0
            self._waiting.appendleft(row)
        self._rows, self._forward = [], None
        error.__traceback__ = None  # its frames hold tensors
        _empty_cache(self.model.device.type)


def _passed(lengths: Sequence[int], size: int) -> int:
    """Tokens that attention passes over: of each group, its longest row's for all."""
    return sum(
        max(lengths[begin : begin + size]) * len(lengths[begin : begin + size])
        for begin in range(0, len(lengths), size)
    )


def _empty_cache(kind: str) -> None:
    import gc

    import torch

    gc.collect()
    if kind == "cuda":
        torch.cuda.empty_cache()
