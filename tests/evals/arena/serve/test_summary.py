"""The summary behind the report's token: the report's own numbers, made beside the votes."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from align_cli.evals.arena import reading, report, store
from align_cli.evals.arena.store import FILE
from tests.evals.arena.building import drawn
from tests.evals.arena.serve.arenas import NAMES, TOKENS, Rater, run, running, stored

BEARER = {"authorization": f"Bearer {TOKENS['report_token']}"}


async def summary(rater: Rater) -> Any:
    answer = await rater.get("/api/report", **BEARER)
    assert answer.status == 200
    return answer.document


async def voted(rater: Rater, count: int) -> None:
    """Vote for the model whose name is longest, wherever it stands."""
    found = await rater.now()
    for _ in range(count):
        turn = found["battle"]["turns"][0]
        lengths = [int(turn[side].split("in ")[1].split()[0]) for side in "ab"]
        found = (await rater.vote(found["battle"]["id"], "a" if lengths[0] > lengths[1] else "b")).document


def test_it_is_what_the_report_says_of_the_same_votes(tmp_path: Path) -> None:
    store.add(tmp_path / FILE, drawn({NAMES[0]: 0.5, NAMES[1]: 0.0, "another": -0.5}, 60))

    async def work() -> Any:
        rater = arena.rater()
        await rater.enter()
        await voted(rater, 8)
        return await summary(rater)

    with running(tmp_path, stored(8)) as arena:
        found = run(work)

    log = reading.read([tmp_path])
    expected = report.make(log.battles, left_out=log.left_out).as_dict()
    assert found["report"] == expected
    assert found["votes"] == expected["battles"] == 68
    assert [row[0] for row in found["page"]["tables"][0]["rows"]] == [one["model"] for one in expected["models"]]
    assert [table["title"] for table in found["page"]["tables"]][1].startswith("Share won against each other")
    assert found["page"]["notes"] == expected["notes"]
    assert next(one["votes"] for one in found["raters"] if one["name"] == "Ann") == 8


def test_votes_count_whichever_side_they_were_on(tmp_path: Path) -> None:
    async def work() -> Any:
        rater = arena.rater()
        await rater.enter()
        await voted(rater, 8)
        return await summary(rater)

    with running(tmp_path, stored(8, NAMES[:2])) as arena:
        found = run(work)

    (pair,) = found["report"]["pairs"]
    assert (pair["better"], pair["other"]) == (NAMES[1], NAMES[0])
    assert (pair["wins"], pair["losses"], pair["ties"]) == (8, 0, 0)


def test_without_votes_it_says_so(tmp_path: Path) -> None:
    async def work() -> Any:
        return await summary(arena.rater())

    with running(tmp_path) as arena:
        found = run(work)

    assert (found["votes"], found["report"], found["page"]) == (0, None, None)
    assert found["models"] == list(NAMES)


def test_a_vote_is_taken_while_it_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    make = report.make

    def slow(*given: Any, **more: Any) -> Any:
        begun.set()
        assert go_on.wait(20)
        return make(*given, **more)

    monkeypatch.setattr(report, "make", slow)

    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        await voted(rater, 1)
        computing = asyncio.create_task(summary(arena.rater()))
        assert await asyncio.to_thread(begun.wait, 20)
        await voted(rater, 1)
        assert not computing.done()
        go_on.set()
        found = await computing
        assert found["votes"] == 1
        assert found["page"]["subtitle"].startswith("1 vote of 1 rater;")
        assert (await summary(arena.rater()))["votes"] == 2

    with running(tmp_path) as arena:
        run(work)


def test_it_is_computed_once_for_the_same_votes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make = report.make
    monkeypatch.setattr(report, "make", lambda *given, **more: made.append(1) or make(*given, **more))

    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        await voted(rater, 2)
        await asyncio.gather(*(summary(arena.rater()) for _ in range(5)))
        assert len(made) == 1
        await rater.post("/api/undo")
        assert (await summary(rater))["votes"] == 1
        assert len(made) == 2

    with running(tmp_path) as arena:
        run(work)
