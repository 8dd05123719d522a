"""What raters can do over HTTP, without a network."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from align_cli.errors import UsageError
from align_cli.evals.arena import store
from align_cli.evals.arena.serve.arena import demand_same_answers
from align_cli.evals.arena.serve.material import material
from align_cli.evals.arena.store import FILE, Store
from tests.evals.arena.serve.arenas import NAMES, answered, run, running, stored


def test_a_rater_votes_through_all_items_and_is_done(tmp_path: Path) -> None:
    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        found = await rater.now()
        for word in ("a", "b", "tie", "both_bad", "a", "b"):
            found = (await rater.vote(found["battle"]["id"], word)).document
        assert found["battle"] is None
        assert found["progress"] == {"voted": 6, "skipped": 0, "items": 6}

    with running(tmp_path) as arena:
        run(work)

    battles = store.battles(tmp_path / FILE)
    assert [battle.winner for battle in battles] == ["model_a", "model_b", "tie", "both_bad", "model_a", "model_b"]
    assert {battle.item for battle in battles} == {f"q{number}" for number in range(6)}
    assert all(battle.turns_a[0]["content"] == f"Question {battle.item[1:]}?" for battle in battles)
    for battle in battles:
        assert str(len(battle.model_a)) in battle.turns_a[1]["content"]
        assert str(len(battle.model_b)) in battle.turns_b[1]["content"]


def test_the_left_answer_is_the_left_models(tmp_path: Path) -> None:
    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        battle = (await rater.now())["battle"]
        await rater.vote(battle["id"], "a")
        names = (await rater.post(f"/api/battles/{battle['id']}/reveal")).document
        for side in "ab":
            assert f"in {len(names[side])} letters" in battle["turns"][0][side]

    with running(tmp_path) as arena:
        run(work)


def test_a_battle_stays_until_it_is_voted_on_also_after_a_restart(tmp_path: Path) -> None:
    found = []

    async def work() -> None:
        rater = arena.rater()
        await rater.enter("Ann")
        found.append((await rater.now())["battle"])
        found.append((await rater.now())["battle"])
        same = arena.rater()
        await same.enter("  ann ")
        found.append((await same.now())["battle"])

    for _ in range(2):
        with running(tmp_path) as arena:
            run(work)

    assert found == [found[0]] * 6


def test_undo_shows_the_battle_again_and_skip_goes_past(tmp_path: Path) -> None:
    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        first = (await rater.now())["battle"]
        second = (await rater.vote(first["id"], "a")).document["battle"]
        again = (await rater.post("/api/undo")).document
        assert again["battle"] == first
        assert again["progress"]["voted"] == 0
        after = (await rater.vote(first["id"], "b")).document
        assert after["battle"] == second
        skipped = (await rater.post(f"/api/battles/{second['id']}/skip")).document
        assert skipped["progress"] == {"voted": 1, "skipped": 1, "items": 6}
        assert skipped["last"] == {"battle": second["id"], "vote": None, "names": None}

    with running(tmp_path) as arena:
        run(work)

    assert [battle.winner for battle in store.battles(tmp_path / FILE)] == ["model_b"]


def test_the_same_vote_twice_at_once_counts_once(tmp_path: Path) -> None:
    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        battle = (await rater.now())["battle"]["id"]
        answers = await asyncio.gather(*(rater.vote(battle, "tie") for _ in range(5)))
        assert {answer.status for answer in answers} == {200}
        assert len({answer.document["battle"]["id"] for answer in answers}) == 1
        assert (await rater.vote(battle, "a")).status == 409

    with running(tmp_path) as arena:
        run(work)

    assert len(store.battles(tmp_path / FILE)) == 1


def test_many_raters_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    async def one(name: str) -> None:
        rater = arena.rater()
        await rater.enter(name)
        found = await rater.now()
        while found["battle"]:
            found = (await rater.vote(found["battle"]["id"], "a")).document

    async def work() -> None:
        await asyncio.gather(*(one(f"rater {number}") for number in range(12)))

    with running(tmp_path, stored(15)) as arena:
        run(work)

    battles = store.battles(tmp_path / FILE)
    assert len(battles) == len({(battle.rater, battle.item) for battle in battles}) == 12 * 15


@pytest.mark.parametrize(
    ("word", "status"), [("c", 409), ("", 409), ("model_a", 409), (None, 409), (["a"], 409)], ids=str
)
def test_what_is_no_vote_is_refused(tmp_path: Path, word: object, status: int) -> None:
    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        battle = (await rater.now())["battle"]["id"]
        assert (await rater.post(f"/api/battles/{battle}/vote", {"vote": word})).status == status

    with running(tmp_path) as arena:
        run(work)

    assert store.battles(tmp_path / FILE) == []


def test_a_name_must_be_one(tmp_path: Path) -> None:
    async def work() -> None:
        rater = arena.rater()
        for name in ("", "   ", "\x00\x1b", "x" * 61):
            assert (await rater.enter(name)).status == 409
        assert (await rater.enter("Zoë  von\tA")).document["rater"] == "Zoë vonA"

    with running(tmp_path) as arena:
        run(work)


def test_leaving_ends_the_session(tmp_path: Path) -> None:
    async def work() -> None:
        rater = arena.rater()
        await rater.enter()
        await rater.post("/api/leave")
        assert (await rater.post("/api/now")).status == 401
        assert (await rater.get("/api/about")).document["rater"] is None

    with running(tmp_path) as arena:
        run(work)


def test_votes_on_other_answers_of_the_same_model_are_not_mixed(tmp_path: Path) -> None:
    with running(tmp_path):
        pass
    other = answered(NAMES[0])
    changed = dict.fromkeys(other.answers, ("Something else.",))
    given = material([type(other)(name=other.name, items=other.items, answers=changed), answered(NAMES[1])])

    made = Store(tmp_path / FILE)
    with pytest.raises(UsageError, match=f"the answers of {NAMES[0]} are not those"):
        demand_same_answers(made, given)
    made.close()


def test_more_items_and_another_model_may_join(tmp_path: Path) -> None:
    async def work() -> int:
        rater = arena.rater()
        await rater.enter()
        found = await rater.now()
        while found["battle"]:
            found = (await rater.vote(found["battle"]["id"], "a")).document
        return found["progress"]["voted"]

    with running(tmp_path, stored(3, NAMES[:2])) as arena:
        assert run(work) == 3
    with running(tmp_path, stored(5, NAMES)) as arena:
        assert run(work) == 5
