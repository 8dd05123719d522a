"""Ask an endpoint everything there is to ask: many at a time, each outcome handed over as soon as it is there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sized

from align_cli.errors import Interrupted
from align_cli.evals.asking import endings
from align_cli.evals.asking.attempts import Attempts
from align_cli.evals.asking.client import Client
from align_cli.evals.asking.course import Course, Over
from align_cli.evals.asking.endpoint import Endpoint
from align_cli.evals.asking.limits import Limits
from align_cli.evals.asking.outcome import Outcome, Request, Tally
from align_cli.evals.asking.pace import Bell
from align_cli.evals.asking.prices import Prices

_TICK_S = 0.1  # between two looks at `is_stopped`
#: Refusals of the first requests, and no answer among them: the rest would be refused too.
_REFUSALS = 10

#: What hears of an outcome; what it returns is asked next.
OnOutcome = Callable[[Outcome], Iterable[Request] | None]


def ask_all(
    endpoint: Endpoint,
    requests: Iterable[Request],
    *,
    limits: Limits | None = None,
    prices: Prices | None = None,
    max_cost: float | None = None,
    on_sent: Callable[[Request], None] = lambda request: None,
    on_outcome: OnOutcome = lambda outcome: None,
    is_stopped: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda line: None,
) -> Tally:
    """Ask all requests; the outcome of each is handed to `on_outcome` as soon as it is there.

    Args:
        endpoint: Whom.
        requests: Taken as there is room for them.
        limits: How much at a time, how often; `Limits()` without.
        prices: For the costs of outcomes.
        max_cost: USD that all of it may cost, replies that were lost on the way included.
        on_sent: Called before a request is sent for the first time.
        on_outcome: Called in this thread, between the others' replies; further requests may be returned.
        is_stopped: Asked often; once it is true, nothing more is sent.
        say: Told in a sentence what is sent otherwise than asked for, and of long waits.

    Raises:
        EndpointError: no request will fare better: a refused key, no such model, no quota, an endpoint that is down.
        AlignError: the next request might cost more than `max_cost` leaves.
        UsageError: there is a `max_cost`, and nobody knows the prices or how long a reply may be.
        Interrupted: `is_stopped`, or Ctrl-C. As after the errors above, replies on their way were awaited for
            `Limits.grace_s` and handed over.
    """
    if max_cost is not None and prices is None:
        raise endings.unpriced(endpoint)

    async def ask() -> Tally:
        course = Course(endpoint, limits or Limits(), prices, max_cost, say)
        await _Session(course, _Stream(requests), on_sent, on_outcome, is_stopped).run()
        return course.tally()

    return asyncio.run(ask())


class _Stream:
    """Requests in the order in which they are sent: those that follow from an outcome before new ones."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._source = iter(requests)
        self._total = len(requests) if isinstance(requests, Sized) else None
        self._taken = 0
        self._next: deque[Request] = deque()

    def has_more(self) -> bool:
        """Whether there is one to take."""
        if not self._next:
            self._next.extend(request for request in (next(self._source, None),) if request is not None)
        return bool(self._next)

    def take(self) -> Request:
        """The next one."""
        self._taken += 1
        return self._next.popleft()

    def put(self, requests: Iterable[Request]) -> None:
        """Let these be the next."""
        found = list(requests)
        if self._total is not None:
            self._total += len(found)
        self._next.extendleft(reversed(found))

    def left(self, done: int) -> int:
        """How many have no outcome; those that would follow from outcomes are not among them."""
        if self._total is None:
            self._total = self._taken + len(self._next) + sum(1 for _ in self._source)
        return self._total - done


class _Session:
    """Workers, each with a request in hand, and who watches over them."""

    def __init__(
        self,
        course: Course,
        stream: _Stream,
        on_sent: Callable[[Request], None],
        on_outcome: OnOutcome,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._course, self._stream = course, stream
        self._on_sent, self._on_outcome, self._is_stopped = on_sent, on_outcome, is_stopped
        self._change = Bell()
        self._busy = 0
        self._refusals: list[Outcome] = []
        self._are_all_refused = False

    async def run(self) -> None:
        course = self._course
        async with Client(course.endpoint, course.limits) as client:
            workers = [asyncio.create_task(self._work(client)) for _ in range(course.limits.in_flight)]
            course.workers = workers
            try:
                await self._watch()
            finally:
                course.lost += len(course.sending)
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        self._hand_over(self._refusals)
        course.raise_ending()

    async def _watch(self) -> None:
        """Until all workers are done or, once all ends early, have had their grace."""
        course, loop = self._course, asyncio.get_running_loop()
        pending, deadline = set(course.workers), None
        while pending:
            try:
                done, pending = await asyncio.wait(pending, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:  # Ctrl-C, where nobody else listens for it
                task = asyncio.current_task()
                if course.is_over or task is None:
                    raise
                task.uncancel()
                course.end(self._stopped)
                continue
            for worker in done:
                if not worker.cancelled() and (error := worker.exception()):
                    raise error
            self._look()
            if course.is_over:
                deadline = deadline or loop.time() + course.limits.grace_s
                if loop.time() >= deadline:
                    return

    def _look(self) -> None:
        """End it if somebody wants it to end."""
        if not self._course.is_over and self._is_stopped():
            self._course.end(self._stopped)

    def _stopped(self) -> Interrupted:
        return endings.stopped(self._course.states.total(), self._course.lost, self._course.limits.grace_s)

    async def _work(self, client: Client) -> None:
        while (request := await self._taken()) is not None:
            attempts = Attempts(
                self._course,
                client,
                request,
                on_sent=self._on_sent,
                has_more=self._stream.has_more,
                left=lambda: self._stream.left(self._course.states.total()),
            )
            try:
                outcome = await attempts.outcome()
            except Over:
                return
            finally:
                self._busy -= 1
                self._change.ring()
            self._keep(outcome)

    async def _taken(self) -> Request | None:
        """The next request; None when there is none and none will follow."""
        while True:
            self._look()
            if self._course.is_over:
                return None
            if self._stream.has_more():
                self._busy += 1
                return self._stream.take()
            if not self._busy:
                return None
            await self._change.wait()

    def _keep(self, outcome: Outcome) -> None:
        """Hand it over. Refusals wait for the first answer: should none come, it is the asking that is wrong."""
        if outcome.state == "refused" and outcome.attempts[-1]["status"] != 200 and not self._course.states:
            if self._are_all_refused:
                return
            self._refusals.append(outcome)
            if len(self._refusals) >= _REFUSALS and self._stream.has_more():
                self._course.end(lambda: endings.refusing(self._course.endpoint, outcome.why, _REFUSALS))
                self._are_all_refused, self._refusals = True, []
            return
        self._hand_over([*self._refusals, outcome])
        self._refusals = []

    def _hand_over(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._course.count(outcome)
            self._stream.put(self._on_outcome(outcome) or ())
