"""One request: attempts until one counts, and what the others make of those that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from align_cli.evals.asking import endings, replies
from align_cli.evals.asking.budget import TooDear
from align_cli.evals.asking.client import Client
from align_cli.evals.asking.course import Course, Over
from align_cli.evals.asking.faults import FATAL, Fault
from align_cli.evals.asking.outcome import Outcome, Request
from align_cli.evals.asking.prices import size
from align_cli.evals.asking.replies import Reply

#: Rounds without a connection where there never was one: the address is wrong, or nothing runs there.
_NEVER_REACHED = 3
#: Refusals for the rate, for each of `Limits.attempts`, before a request is given up while others come through.
_RATE_PATIENCE = 5
#: Requests whose faults together are the endpoint's; if fewer are in flight, one more than those.
_CULPRITS = 3
_WORTH_SAYING_S = 5.0


class Attempts:
    """Attempts at one request.

    `has_more` says whether others wait to be sent; `left` how many have no outcome.
    """

    def __init__(
        self,
        course: Course,
        client: Client,
        request: Request,
        *,
        on_sent: Callable[[Request], None],
        has_more: Callable[[], bool],
        left: Callable[[], int],
    ) -> None:
        self._course, self._client, self._request = course, client, request
        self._on_sent, self._has_more, self._left = on_sent, has_more, left
        self._secrets = course.endpoint.secret_values()
        self._log: list[dict[str, Any]] = []
        self._faults: list[Fault] = []
        self._ended = asyncio.get_running_loop().time()
        self._cost: float | None = None
        self._sent: dict[str, Any] = {}

    async def outcome(self) -> Outcome:
        """What comes of it.

        Raises:
            Over: all ends early, and this request has no outcome.
        """
        import tenacity

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Fault),
            stop=lambda state: self._is_enough(),
            wait=lambda state: self._wait(),
            sleep=asyncio.sleep,
            reraise=True,
        )
        try:
            reply: Reply = await retrying(self._attempt)
        except Fault as fault:
            tries = f"; {len(self._log)} attempts" if len(self._log) > 1 else ""
            return self._made(Reply(state="failed", why=fault.why + tries, status=fault.status or 0))
        return self._made(reply)

    def _made(self, reply: Reply) -> Outcome:
        return Outcome(
            key=self._request.key,
            state=reply.state,
            why=reply.why,
            text=reply.text,
            reply=reply.document,
            parameters=self._sent,
            usage=reply.usage,
            cost=self._cost,
            attempts=tuple(self._log),
            seconds=self._log[-1]["seconds"],
        )

    async def _attempt(self) -> Reply:
        """A reply that counts; a `Fault` if another attempt may bring one."""
        course = self._course
        while True:
            self._sent = course.dialect.spoken(self._request.parameters)
            aside = await self._set_aside()
            try:
                reply = await self._exchange()
            except Fault as fault:
                course.budget.settle(aside, self._paid(fault.usage) if fault.is_paid else 0.0)
                course.lost += fault.kind == "lost"
                if fault.kind == "parameter":
                    if self._learns(fault):
                        continue
                    return Reply(state="refused", why=fault.why, status=fault.status or 400)
                await self._consider(fault)
                self._faults.append(fault)
                raise
            except BaseException:  # over, or the caller's own error: nobody asks the budget any more
                course.budget.settle(aside, 0.0)
                raise
            course.budget.settle(aside, 0.0 if reply.is_error else self._paid(reply.usage))
            return reply

    async def _exchange(self) -> Reply:
        """Send it once it may go, and read what comes back."""
        course, loop = self._course, asyncio.get_running_loop()
        tokens = size(self._request)
        expected = tokens.prompt + (tokens.reply if tokens.reply_at_most is None else tokens.reply_at_most)
        await course.pace.enter(expected)
        try:
            if course.is_over:
                raise Over
            if not self._log:
                self._on_sent(self._request)
            began = loop.time()
            waited = began - self._ended
            worker = asyncio.current_task()
            course.sending.add(worker)
            course.sent += 1
            try:
                received = await self._client.post(self._request.key, self._document())
                reply = replies.read(*received, self._secrets)
            except Fault as fault:
                self._note(fault.status, fault.why, began, waited)
                course.was_reached = course.was_reached or fault.kind != "unreachable"
                self._tell_pace(fault, began)
                raise
            finally:
                course.sending.discard(worker)
        finally:
            course.pace.leave()
        self._note(reply.status, reply.why if reply.is_error else "", began, waited)
        course.was_reached = True
        course.pace.succeeded()
        if reply.usage:
            course.pace.used(sum(reply.usage.values()), expected)
        elif reply.is_error:
            course.pace.used(0, expected)
        return reply

    def _tell_pace(self, fault: Fault, began: float) -> None:
        course = self._course
        if fault.kind == "parameter":
            course.pace.succeeded()
            return
        held = course.pace.failed(self._request.key, fault, began)
        if held >= _WORTH_SAYING_S and not course.is_over:
            course.say(f"{course.endpoint.host}: waiting {held:.0f} s ({fault.why})")

    def _document(self) -> dict[str, Any]:
        messages = [dict(message) for message in self._request.messages]
        return {"model": self._course.endpoint.model, "messages": messages, **self._sent}

    def _note(self, status: int | None, why: str, began: float, waited: float) -> None:
        self._ended = asyncio.get_running_loop().time()
        seconds = round(self._ended - began, 3)
        self._log.append({"status": status, "why": why, "seconds": seconds, "waited": round(waited, 3)})

    def _paid(self, usage: Mapping[str, int]) -> float | None:
        """USD of a reply; None if nobody knows."""
        prices = self._course.prices
        if prices is None or not usage:
            return None
        cost = prices.cost(usage["prompt_tokens"], usage["completion_tokens"])
        self._cost = (self._cost or 0.0) + cost
        return cost

    async def _set_aside(self) -> float:
        course = self._course
        try:
            return await course.budget.set_aside(self._request)
        except TooDear as dear:
            at_most = dear.at_most

        def ending() -> Any:
            assert course.max_cost is not None
            done = course.states.total()
            spent, unsure = course.budget.spent, course.budget.unsure
            return endings.too_dear(spent, course.max_cost, at_most, done, self._left(), unsure)

        course.end(ending)
        raise Over

    def _learns(self, fault: Fault) -> bool:
        """Whether the request is to be sent again in other words."""
        course = self._course
        if course.is_over:
            raise Over
        known = len(course.dialect.notes)
        if course.dialect.learn(fault, self._sent):
            for note in course.dialect.notes[known:]:
                course.say(f"note: {note}")
            return True
        if fault.parameter in self._sent:
            course.end(lambda: endings.parameter(course.endpoint, fault))
            raise Over
        return False

    async def _consider(self, fault: Fault) -> None:
        """End all of it where a fault is everybody's and final.

        Raises:
            Over: it is, or all has ended meanwhile.
        """
        course = self._course
        if course.is_over:
            raise Over
        if fault.kind in FATAL:
            models: list[str] = []
            course.end(lambda: endings.fatal(course.endpoint, fault, models))
            if fault.kind == "no_model":
                models += await self._client.models()
            raise Over
        if fault.after is not None and fault.after > course.limits.longest_wait_s:
            course.end(lambda: endings.too_long_a_wait(course.endpoint, fault))
            raise Over
        if self._is_down(fault):
            row = course.pace.row
            course.end(lambda: endings.down(course.endpoint, fault, row))
            raise Over

    def _is_down(self, fault: Fault) -> bool:
        """Whether so many faults in a row are the endpoint's.

        If they are of few requests, or no other waits, they may be those requests' own: a prompt that breaks a server.
        """
        course = self._course
        are_many = len(course.pace.culprits) >= min(_CULPRITS, course.limits.in_flight + 1)
        if not (fault.is_wide or (are_many and self._has_more())):
            return False
        if fault.kind == "unreachable" and not course.was_reached:
            return course.pace.row >= min(_NEVER_REACHED, course.limits.attempts)
        return course.pace.row >= course.limits.attempts or course.pace.paid_row >= course.limits.paid_attempts

    def _is_enough(self) -> bool:
        """Whether this request has had its attempts."""
        last = self._faults[-1]
        alike = sum(fault.is_paid == last.is_paid and fault.kind != "limited" for fault in self._faults)
        if last.kind == "limited":
            limited = sum(fault.kind == "limited" for fault in self._faults)
            return limited >= _RATE_PATIENCE * self._course.limits.attempts
        return alike >= (self._course.limits.paid_attempts if last.is_paid else self._course.limits.attempts)

    def _wait(self) -> float:
        """Seconds before the next attempt; where all are held back, the gate sees to it."""
        own = sum(not fault.is_wide for fault in self._faults)
        return 0.0 if self._faults[-1].is_wide or self._faults[-1].after is not None else self._course.pace.backoff(own)
