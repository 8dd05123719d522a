"""What may be spent: nothing is sent that could cost more than is left."""

from __future__ import annotations

from align_cli.errors import UsageError
from align_cli.evals.asking.outcome import Request
from align_cli.evals.asking.pace import Bell
from align_cli.evals.asking.prices import Prices, size


class TooDear(Exception):
    """The next request could cost more than is left, and nothing is under way whose end would leave more."""

    def __init__(self, at_most: float) -> None:
        super().__init__(at_most)
        self.at_most = at_most


class Budget:
    """Spent, and set aside for what is under way; together never more than `max_cost` (USD; None: no cap)."""

    def __init__(self, prices: Prices | None, max_cost: float | None) -> None:
        assert prices is not None or max_cost is None
        self.spent = 0.0
        """USD, of replies whose usage is known."""
        self.unsure = 0.0
        """USD that others may have cost, at most: counted as spent."""
        self._prices = prices
        self._max_cost = max_cost
        self._aside = 0.0
        self._under_way = 0
        self._bell = Bell()

    async def set_aside(self, request: Request) -> float:
        """What the request may cost (USD), set aside as soon as there is room; `settle` ends it.

        Raises:
            TooDear: there will be none.
            UsageError: nobody knows what it may cost: its reply has no limit.
        """
        if self._prices is None:
            return 0.0
        it = size(request)
        if it.reply_at_most is None and self._max_cost is not None:
            raise UsageError(f"{request.key}: without max_tokens nobody knows what a reply may cost")
        most = self._prices.cost(it.prompt_at_most, it.reply_at_most or 0)
        while self._max_cost is not None and self.spent + self.unsure + self._aside + most > self._max_cost:
            if not self._under_way:
                raise TooDear(most)
            await self._bell.wait()
        self._aside += most
        self._under_way += 1
        return most

    def settle(self, aside: float, cost: float | None) -> None:
        """An attempt is over: it cost this much; None: nobody knows, up to what was set aside."""
        if self._prices is None:
            return
        if cost is None:
            self.unsure += aside
        else:
            self.spent += cost
        self._under_way -= 1
        self._aside = self._aside - aside if self._under_way else 0.0
        self._bell.ring()
