"""Who waits for how long: requests in flight, requests and tokens a minute, and what faults ask of everybody."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

from align_cli.evals.asking.faults import Fault
from align_cli.evals.asking.limits import Limits

#: Seconds whose worth of a rate may go at once. Endpoints count a minute in pieces: a minute's worth in one burst
#: would be refused.
_BURST_S = 1.0
#: Of a wait, added at random, so that those who waited do not all come at once.
_JITTER = 0.1


class Bell:
    """Whoever waits goes on at the next ring."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Until somebody rings."""
        await self._event.wait()

    def ring(self) -> None:
        """Wake all who wait now."""
        self._event.set()
        self._event = asyncio.Event()


class Pace:
    """The gate that every attempt goes through.

    A fault that is everybody's trouble, or the second in a row, holds everybody back: as long as the endpoint asks, or
    twice as long each time. It also halves how many may be in flight; each reply lets one window's share more in
    (Jacobson 1988, congestion avoidance).
    """

    def __init__(self, limits: Limits) -> None:
        self.row = 0
        """Faults in a row without a reply between. Those whose attempts overlap count as one: they say the same."""
        self.paid_row = 0
        """Of those, faults that may have been paid for."""
        self.culprits: set[str] = set()
        """Keys of the requests that these faults are of."""
        self._limits = limits
        self._window = float(limits.in_flight)
        self._inside = 0
        self._held_until = -math.inf
        self._counted = -math.inf
        self._bell = Bell()
        self._requests = _limiter(limits.requests_per_minute)
        self._tokens = _limiter(limits.tokens_per_minute)
        self._owed = 0.0

    async def enter(self, tokens: float) -> None:
        """Wait until one more attempt of about so many tokens may go; `leave` ends it."""
        while self._inside >= int(self._window):
            await self._bell.wait()
        self._inside += 1
        try:
            await self._unheld()
            if self._requests is not None:
                await self._requests.acquire(1)
            if self._tokens is not None:
                await self._pay(tokens)
            await self._unheld()
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """The attempt is over."""
        self._inside -= 1
        self._bell.ring()

    def used(self, tokens: float, expected: float) -> None:
        """A reply took so many tokens where so many were expected: who comes next waits for the difference."""
        self._owed += tokens - expected

    def succeeded(self) -> None:
        """A reply came."""
        self.row = self.paid_row = 0
        self.culprits.clear()
        self._window = min(float(self._limits.in_flight), self._window + 1 / self._window)
        self._bell.ring()

    def failed(self, key: str, fault: Fault, began: float) -> float:
        """An attempt that began then ended in a fault now; the seconds for which this holds everybody back anew."""
        now = asyncio.get_running_loop().time()
        self.culprits.add(key)
        is_new = began >= self._counted
        if is_new:
            self.row += 1
            self.paid_row += fault.is_paid
            self._counted = now
            if fault.is_wide or self.row > 1:  # else one request's own trouble
                self._window = max(1.0, self._window / 2)
        if fault.after is not None:
            wait = fault.after
        elif is_new and (fault.is_wide or self.row > 1):
            wait = self.backoff(self.row)
        else:
            return 0.0
        held, self._held_until = self._held_until, max(self._held_until, now + wait)
        return wait if held <= now else 0.0

    def backoff(self, faults: int) -> float:
        """Seconds to wait after so many faults where the endpoint does not say; a random half of it is left away."""
        longest = min(self._limits.longest_backoff_s, self._limits.backoff_s * 2.0 ** (faults - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 (not for secrets)

    async def _unheld(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._held_until - loop.time()) > 0:
            await asyncio.sleep(left + random.uniform(0, min(1.0, _JITTER * left)))  # noqa: S311

    async def _pay(self, tokens: float) -> None:
        """Wait for what those before have taken; whoever comes next waits for these. So the first need not wait."""
        debt = self._owed
        self._owed = min(0.0, debt) + tokens
        while debt > 0:  # in pieces: a bucket cannot give more than it holds
            piece = min(debt, self._tokens.max_rate)
            await self._tokens.acquire(piece)
            debt -= piece


def _limiter(per_minute: float | None) -> Any:
    """A leaky bucket that lets a rate through evenly; None: no limit."""
    if per_minute is None:
        return None
    from aiolimiter import AsyncLimiter

    burst = max(1.0, per_minute / 60 * _BURST_S)
    return AsyncLimiter(burst, burst * 60 / per_minute)
