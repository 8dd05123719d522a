"""Models that answer while the rater waits: in step, without a trace of which is which."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from align_cli.evals.arena import store
from align_cli.evals.arena.serve import live
from align_cli.evals.arena.store import FILE
from tests.evals.arena.serve.arenas import NAMES, Rater, Scripted, events, run, running


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK_S", 0.002)


async def asked(rater: Rater, text: str = "Hello") -> str:
    await rater.enter()
    battle = (await rater.now())["battle"]["id"]
    assert (await rater.post(f"/api/battles/{battle}/ask", {"text": text})).status == 200
    return str(battle)


def test_two_models_answer_and_the_vote_keeps_the_conversation(tmp_path: Path) -> None:
    models = [Scripted(NAMES[0], ("One ", "two.")), Scripted(NAMES[1], ("Three ", "four ", "five."))]

    async def work() -> None:
        rater = arena.rater()
        battle = await asked(rater, "Count")
        found = events(await rater.get(f"/api/battles/{battle}/stream"))
        said = {side: "".join(event.get(side, "") for _, event in found) for side in "ab"}
        assert set(said.values()) == {"One two.", "Three four five."}
        assert found[-1][1] == {"end": True}
        assert (await rater.now())["battle"]["turns"] == [{"prompt": "Count", **said}]
        await rater.post(f"/api/battles/{battle}/ask", {"text": "More"})
        await rater.get(f"/api/battles/{battle}/stream")
        voted = (await rater.vote(battle, "a")).document
        assert voted["battle"] is None
        assert voted["last"]["vote"] == "a"

    with running(tmp_path, models) as arena:
        run(work)

    (battle,) = store.battles(tmp_path / FILE)
    assert battle.num_turns == 2
    assert [turn["role"] for turn in battle.turns_a] == ["user", "assistant"] * 2
    assert [turn["content"] for turn in battle.turns_b[::2]] == ["Count", "More"]
    assert [len(asked) for asked in models[0].asked] == [1, 3]


def test_both_sides_are_let_out_in_step_however_fast_a_model_is(tmp_path: Path) -> None:
    fast, slow = Scripted(NAMES[0], ("x" * 400,)), Scripted(NAMES[1], ["y"] * 60, pause=0.002)

    async def work() -> None:
        rater = arena.rater()
        battle = await asked(rater)
        found = [event for _, event in events(await rater.get(f"/api/battles/{battle}/stream"))][:-1]
        assert all(event.keys() == {"a", "b"} for event in found)
        both = [event for event in found if event["a"] and event["b"]]
        assert found[: len(both)] == both
        assert all(len(event["a"]) == len(event["b"]) for event in both)
        assert sum(len(event["a"]) for event in both) == 60

    with running(tmp_path, [fast, slow]) as arena:
        run(work)


def test_a_broken_connection_takes_up_where_it_broke(tmp_path: Path) -> None:
    models = [Scripted(name, [f"{number} " for number in range(60)], pause=0.002) for name in NAMES[:2]]

    async def work() -> None:
        rater = arena.rater()
        battle = await asked(rater)
        path = f"/api/battles/{battle}/stream"
        first = events(await rater.send("GET", path, None, {}, until=3))
        assert 0 < len(first) < 60
        rest = events(await rater.get(path, last_event_id=str(first[-1][0])))
        whole = first + rest
        assert [number for number, _ in whole] == list(range(1, len(whole) + 1))
        expected = "".join(models[0].pieces)
        assert "".join(event.get("a", "") for _, event in whole) == expected
        assert events(await rater.get(path)) == whole

    with running(tmp_path, models) as arena:
        run(work)


def test_whichever_model_fails_the_rater_reads_the_same_and_the_turn_does_not_count(tmp_path: Path) -> None:
    endings = []
    for broken in range(2):
        models = [Scripted(name, () if place == broken else ("Fine.",), "" if place != broken else "HTTP 500 of x")
                  for place, name in enumerate(NAMES[:2])]  # fmt: skip

        async def work() -> dict:
            rater = arena.rater()
            battle = await asked(rater)
            ending = events(await rater.get(f"/api/battles/{battle}/stream"))[-1][1]
            assert (await rater.vote(battle, "a")).status == 409
            assert (await rater.now())["battle"]["turns"] == []
            return ending

        with running(tmp_path / str(broken), models) as arena:
            ending = run(work)
        assert len(ending["failed"]) == 1
        endings.append(ending.keys())
        assert "HTTP 500 of x" in arena.said[0]

    assert endings[0] == endings[1]


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (live.LONGEST_PROMPT + 1)], ids=lambda text: str(len(text)))
def test_a_prompt_must_be_one(tmp_path: Path, text: str) -> None:
    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        battle = (await rater.now())["battle"]["id"]
        assert (await rater.post(f"/api/battles/{battle}/ask", {"text": text})).status == 409

    with running(tmp_path, [Scripted(name) for name in NAMES[:2]]) as arena:
        run(work)


def test_no_vote_and_no_second_prompt_while_models_speak(tmp_path: Path) -> None:
    models = [Scripted(name, ["x"] * 1000, pause=0.01) for name in NAMES[:2]]

    async def work() -> None:
        rater = arena.rater()
        battle = await asked(rater)
        assert (await rater.vote(battle, "a")).status == 409
        assert (await rater.post(f"/api/battles/{battle}/ask", {"text": "more"})).status == 409
        assert (await rater.now())["battle"]["asked"] == "Hello"
        skipped = await rater.post(f"/api/battles/{battle}/skip")
        assert skipped.document["battle"]["id"] != battle
        await asyncio.sleep(0)

    with running(tmp_path, models) as arena:
        run(work)

    assert arena.said == []


def test_another_raters_stream_cannot_be_read(tmp_path: Path) -> None:
    async def work() -> None:
        rater, other = arena.rater(), arena.rater()
        battle = await asked(rater)
        await other.enter("Bob")
        assert (await other.get(f"/api/battles/{battle}/stream")).status == 404
        assert (await arena.rater().get(f"/api/battles/{battle}/stream")).status == 401

    with running(tmp_path, [Scripted(name) for name in NAMES[:2]]) as arena:
        run(work)


def test_a_stream_of_a_server_that_was_started_anew_ends(tmp_path: Path) -> None:
    models = [Scripted(name, ["x"] * 50, pause=0.01) for name in NAMES[:2]]
    kept = {}

    async def begin() -> None:
        rater = arena.rater()
        kept["battle"] = await asked(rater)
        kept["cookie"] = rater.cookie

    async def again() -> None:
        rater = arena.rater()
        rater.cookie = kept["cookie"]
        assert events(await rater.get(f"/api/battles/{kept['battle']}/stream?from=4")) == [(5, {"end": True})]

    with running(tmp_path, models) as arena:
        run(begin)
    with running(tmp_path, models) as arena:
        run(again)
