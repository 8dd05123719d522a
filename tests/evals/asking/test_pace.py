from __future__ import annotations

import asyncio

from align_cli.evals.asking.faults import Fault
from align_cli.evals.asking.pace import Pace
from tests.evals.asking.conftest import quick


def test_faults_of_attempts_that_overlap_count_once() -> None:
    async def run() -> list[int]:
        pace = Pace(quick())
        rows = []
        loop = asyncio.get_running_loop()
        together = loop.time()
        for key in "abc":
            pace.failed(key, Fault("trouble", ""), together)
            rows.append(pace.row)
        pace.failed("a", Fault("trouble", ""), loop.time())
        return [*rows, pace.row]

    assert asyncio.run(run()) == [1, 1, 1, 2]


def test_a_reply_ends_the_row() -> None:
    async def run() -> tuple[int, set[str]]:
        pace = Pace(quick())
        pace.failed("a", Fault("lost", ""), asyncio.get_running_loop().time())
        pace.succeeded()
        return pace.row + pace.paid_row, pace.culprits

    assert asyncio.run(run()) == (0, set())


def test_a_single_fault_of_one_request_holds_nobody() -> None:
    async def run() -> list[float]:
        pace = Pace(quick(backoff_s=10.0, longest_backoff_s=100.0))
        loop = asyncio.get_running_loop()
        return [pace.failed("a", Fault("trouble", ""), loop.time()) for _ in range(2)]

    first, second = asyncio.run(run())
    assert first == 0.0
    assert 10.0 <= second <= 20.0


def test_waits_double_up_to_the_longest() -> None:
    pace = Pace(quick(backoff_s=1.0, longest_backoff_s=8.0))

    for number, most in enumerate([1.0, 2.0, 4.0, 8.0, 8.0], start=1):
        assert all(most / 2 <= pace.backoff(number) <= most for _ in range(50))


def test_a_held_gate_lets_nobody_through_before_its_time() -> None:
    async def run() -> tuple[float, float]:
        pace = Pace(quick())
        loop = asyncio.get_running_loop()
        began = loop.time()
        pace.failed("a", Fault("limited", "", after=0.15), began)
        await asyncio.gather(*[pace.enter(0) for _ in range(2)])
        return began, loop.time()

    began, ended = asyncio.run(run())
    assert ended - began >= 0.15


def test_whoever_is_cancelled_at_the_gate_leaves_room() -> None:
    async def run() -> None:
        pace = Pace(quick(in_flight=1))
        pace.failed("a", Fault("limited", "", after=60), asyncio.get_running_loop().time())
        waiting = asyncio.create_task(pace.enter(0))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        pace._held_until = 0
        await asyncio.wait_for(pace.enter(0), 5)

    asyncio.run(run())
