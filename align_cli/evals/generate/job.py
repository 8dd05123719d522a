"""What is to be answered, by whom, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from align_cli.evals.benchmark import Answer
from align_cli.evals.generate.moments import Clock, Moment
from align_cli.evals.generate.talks import Talk
from align_cli.models.speaking.opened import Opened


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run of an engine."""

    opened: Opened
    waiting: Sequence[Talk]
    """Questions with turns to answer."""
    seed: int
    clock: Clock
    on_answer: Callable[[Answer], None]
    on_progress: Callable[[Moment], None]
    is_stopped: Callable[[], bool]
    say: Callable[[str], None]

    def give(self, talk: Talk, answer: Answer) -> None:
        """The talk's next turn is answered: it is counted, handed out, and the talk goes on from it."""
        self.clock.count(talk, answer)
        self.on_answer(answer)
        talk.take(answer)
