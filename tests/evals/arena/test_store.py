"""The file of battles: what is promised is on the disk, once."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from align_cli.errors import DataError, UsageError
from align_cli.evals.arena import ballots, store
from align_cli.evals.arena.ballots import Ballot, Refused
from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.store import FILE, Store


def opened(place: Store, name: str, rater: str = "Ann", item: str = "q1") -> int:
    def change(db: sqlite3.Connection) -> int:
        who = store.rater_id(db, rater)
        ballots.opened(db, Ballot(id=name, rater=who, origin="stored", item=item, model_a="x", model_b="y"))
        return who

    return place.do(change)


def voted(place: Store, name: str, winner: str = "model_a", rater: str = "Ann", item: str = "q1") -> int:
    who = opened(place, name, rater, item)
    place.do(lambda db: ballots.vote(db, who, name, winner, 1, {"turns_a": [{"role": "user", "content": "?"}]}))
    return who


def always(ballot: Ballot) -> bool:
    return True


@pytest.fixture
def place(tmp_path: Path):
    made = Store(tmp_path / FILE)
    yield made
    made.close()


def test_a_vote_becomes_a_battle_with_what_was_said(place: Store) -> None:
    voted(place, "one", "both_bad")

    (found,) = store.battles(place.path)
    assert (found.id, found.item, found.model_a, found.winner, found.rater) == ("one", "q1", "x", "both_bad", "Ann")
    assert found.turns_a == ({"role": "user", "content": "?"},)
    assert found.seconds is not None


def test_a_battle_has_one_vote_whoever_asks_again(place: Store) -> None:
    who = voted(place, "one", "model_a")

    place.do(lambda db: ballots.vote(db, who, "one", "model_a", 1, {}))
    with pytest.raises(Refused, match="it has a vote"):
        place.do(lambda db: ballots.vote(db, who, "one", "model_b", 1, {}))

    assert [battle.winner for battle in store.battles(place.path)] == ["model_a"]


def test_another_raters_battle_cannot_be_voted_on(place: Store) -> None:
    opened(place, "one", "Ann")
    other = opened(place, "two", "Bob")

    with pytest.raises(Refused, match="no such battle"):
        place.do(lambda db: ballots.vote(db, other, "one", "model_a", 1, {}))

    assert store.battles(place.path) == []


def test_an_item_is_opened_once_for_a_rater(place: Store) -> None:
    opened(place, "one", "Ann", "q1")
    opened(place, "two", "Bob", "q1")

    with pytest.raises(sqlite3.IntegrityError):
        opened(place, "three", "ann", "q1")


def test_a_change_that_fails_takes_no_other_with_it(place: Store) -> None:
    opened(place, "one", "Ann", "q1")
    gate = threading.Event()
    place.submit(lambda db: gate.wait(10))

    futures = [place.submit(lambda db, n=n: _open_raw(db, n)) for n in ("one", "two", "three")]
    gate.set()

    with pytest.raises(sqlite3.IntegrityError):
        futures[0].result(10)
    assert [future.result(10) for future in futures[1:]] == ["two", "three"]
    assert place.do(lambda db: db.execute("SELECT count(*) FROM battles").fetchone()[0]) == 3


def _open_raw(db: sqlite3.Connection, name: str) -> str:
    ballots.opened(db, Ballot(id=name, rater=1, origin="live", item="", model_a="x", model_b="y"))
    return name


def test_undo_opens_the_last_battle_again_and_keeps_the_story(place: Store) -> None:
    voted(place, "one", item="q1")
    who = voted(place, "two", item="q2")

    taken = place.do(lambda db: ballots.undo(db, who, "stored", always))

    assert taken.id == "two"
    assert [battle.id for battle in store.battles(place.path)] == ["one"]
    current = place.do(lambda db: ballots.current(db, who, "stored"))
    assert current is not None
    assert current.id == "two"
    story = place.do(lambda db: [tuple(row) for row in db.execute("SELECT battle, what FROM history ORDER BY id")])
    assert story == [("one", "vote"), ("two", "vote"), ("two", "undo")]


def test_a_vote_whose_names_were_shown_stands(place: Store) -> None:
    who = voted(place, "one")
    place.do(lambda db: ballots.reveal(db, who, "one"))

    with pytest.raises(Refused, match="names were shown"):
        place.do(lambda db: ballots.undo(db, who, "stored", always))

    assert len(store.battles(place.path)) == 1


def test_names_are_not_shown_before_the_vote(place: Store) -> None:
    who = opened(place, "one")

    with pytest.raises(Refused, match="after the vote"):
        place.do(lambda db: ballots.reveal(db, who, "one"))


def test_a_skipped_battle_can_be_taken_back(place: Store) -> None:
    who = opened(place, "one")
    place.do(lambda db: ballots.skip(db, who, "one"))

    with pytest.raises(Refused, match="skipped"):
        place.do(lambda db: ballots.vote(db, who, "one", "tie", 1, {}))
    place.do(lambda db: ballots.undo(db, who, "stored", always))
    place.do(lambda db: ballots.vote(db, who, "one", "tie", 1, {}))

    assert [battle.winner for battle in store.battles(place.path)] == ["tie"]


def test_a_crash_keeps_what_was_promised(tmp_path: Path) -> None:
    made = Store(tmp_path / FILE)
    voted(made, "one")

    # Nothing is closed: the file and its log are what a killed process leaves.
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob(f"{FILE}*"):
        (copy / path.name).write_bytes(path.read_bytes())

    assert [battle.id for battle in store.battles(copy / FILE)] == ["one"]
    made.close()


def test_the_secret_outlives_a_restart(tmp_path: Path) -> None:
    first = Store(tmp_path / FILE)
    secret = first.secret
    first.close()
    second = Store(tmp_path / FILE)

    assert second.secret == secret
    assert len(secret) == 32
    second.close()


def test_battles_survive_export_and_import(tmp_path: Path, place: Store) -> None:
    voted(place, "one", "tie", "Zoë")
    voted(place, "two", "model_b", "Ann")
    found = store.battles(place.path)

    assert store.add(tmp_path / "other.db", found) == 2
    assert store.add(tmp_path / "other.db", found) == 0
    assert store.battles(tmp_path / "other.db") == found


def test_an_import_that_contradicts_a_battle_is_refused_whole(tmp_path: Path) -> None:
    place = tmp_path / "x.db"
    old = Battle(id="1", model_a="x", model_b="y", winner="tie")
    store.add(place, [old])

    with pytest.raises(DataError, match="ids of others"):
        store.add(place, [Battle(id="2", model_a="x", model_b="y", winner="tie"),
                          Battle(id="1", model_a="x", model_b="y", winner="model_a")])  # fmt: skip

    assert store.battles(place) == [old]


def test_what_is_no_file_of_battles_is_said_so(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to look like one, " * 30)
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE t (x)").connection.close()

    with pytest.raises(UsageError, match="no such file"):
        store.battles(tmp_path / "none.db")
    for place in (text, other):
        with pytest.raises(DataError):
            store.battles(place)
        with pytest.raises(DataError):
            Store(place)
