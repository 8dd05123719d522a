"""How the asking goes: what all requests to an endpoint share, and whether it is over."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from align_cli.errors import AlignError
from align_cli.evals.asking.budget import Budget
from align_cli.evals.asking.dialect import Dialect
from align_cli.evals.asking.endpoint import Endpoint
from align_cli.evals.asking.limits import Limits
from align_cli.evals.asking.outcome import Outcome, Tally
from align_cli.evals.asking.pace import Pace
from align_cli.evals.asking.prices import Prices


class Over(Exception):
    """Nothing more is sent; the request at hand has no outcome."""


class Course:
    """One `ask_all`, of one event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        prices: Prices | None,
        max_cost: float | None,
        say: Callable[[str], None],
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.prices = prices
        self.max_cost = max_cost
        self.say = say
        self.pace = Pace(limits)
        self.budget = Budget(prices, max_cost)
        self.dialect = Dialect(endpoint.model)
        self.workers: list[asyncio.Task[None]] = []
        self.sending: set[asyncio.Task[None] | None] = set()
        """Workers whose request is on its way."""
        self.sent = 0
        self.lost = 0
        """Requests whose reply did not come."""
        self.was_reached = False
        """Whether the endpoint ever sent anything."""
        self.states: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._ending: Callable[[], AlignError] | None = None
        self._began = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether it ends early."""
        return self._ending is not None

    def end(self, make: Callable[[], AlignError]) -> None:
        """Send nothing more; who is not waiting for a reply goes home. `make` is called when the last has come."""
        if self._ending is not None:
            return
        self._ending = make
        for worker in self.workers:
            if worker not in self.sending and worker is not asyncio.current_task():
                worker.cancel()

    def raise_ending(self) -> None:
        """Raise what ends it early, if it does."""
        if self._ending is not None:
            raise self._ending()

    def count(self, outcome: Outcome) -> None:
        """An outcome is handed over."""
        self.states[outcome.state] += 1
        self._tokens.update(outcome.usage)

    def tally(self) -> Tally:
        """What has come of it so far."""
        return Tally(
            states=dict(sorted(self.states.items())),
            sent=self.sent,
            prompt_tokens=self._tokens["prompt_tokens"],
            completion_tokens=self._tokens["completion_tokens"],
            cost=self.budget.spent if self.prices else None,
            unsure=self.lost,
            unsure_cost=self.budget.unsure,
            notes=tuple(self.dialect.notes),
            seconds=time.monotonic() - self._began,
        )
