"""Battles on the disk: an SQLite file that many raters write at once, and that kill -9 or a power cut leaves whole.

One thread owns the connection. What arrives while the disk syncs is written together in one transaction, each change in
a savepoint of its own: fifty votes cost about as much as one, and every vote is on the disk before its rater is told.
"""

from __future__ import annotations

import asyncio
import json
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from align_cli.errors import DataError, Problem, UsageError
from align_cli.evals.arena.battles import WINNERS, Battle, battle_of, record_of

FORMAT = "1"
FILE = "battles.db"
Result = TypeVar("Result")
Change = Callable[[sqlite3.Connection], Result]

_MOST_TOGETHER = 200  # changes of one transaction
_BUSY_S = 20.0  # that a writer waits for a reader or another writer
_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE raters (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, joined REAL NOT NULL);
CREATE TABLE sessions (digest TEXT PRIMARY KEY, rater INTEGER NOT NULL REFERENCES raters(id), begun REAL NOT NULL);
CREATE TABLE battles (
    id TEXT PRIMARY KEY,
    rater INTEGER NOT NULL REFERENCES raters(id),
    origin TEXT NOT NULL CHECK (origin IN ('stored', 'live', 'imported')),
    item TEXT NOT NULL,
    model_a TEXT NOT NULL,
    model_b TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'voted', 'skipped')),
    is_revealed INTEGER NOT NULL DEFAULT 0,
    opened REAL NOT NULL,
    touched REAL NOT NULL,
    num_turns INTEGER NOT NULL DEFAULT 0,
    said TEXT NOT NULL DEFAULT '{{}}');
CREATE UNIQUE INDEX an_item_once ON battles (rater, item) WHERE origin = 'stored';
CREATE INDEX of_rater ON battles (rater, state);
CREATE TABLE votes (
    battle TEXT PRIMARY KEY REFERENCES battles(id),
    winner TEXT NOT NULL CHECK (winner IN ({", ".join(f"'{winner}'" for winner in WINNERS)})),
    tstamp REAL NOT NULL,
    seconds REAL);
CREATE TABLE history (
    id INTEGER PRIMARY KEY, battle TEXT NOT NULL REFERENCES battles(id), what TEXT NOT NULL, winner TEXT,
    tstamp REAL NOT NULL);
CREATE INDEX of_battle ON history (battle);
CREATE TABLE answers (model TEXT NOT NULL, item TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (model, item));
"""


class Store:
    """The file, open. Changes are given to its thread; `close` writes what still waits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = _opened(path)
        self._waiting: queue.SimpleQueue[tuple[Change[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="battles", daemon=True)
        self._thread.start()

    @property
    def secret(self) -> bytes:
        """Of this file alone: what sides, orders and session headers are made from."""
        return bytes.fromhex(self.do(lambda db: _meta(db, "secret")))

    def submit(self, change: Change[Result]) -> Future[Result]:
        """Have a change made; its future is done when it is on the disk."""
        future: Future[Result] = Future()
        self._waiting.put((change, future))
        return future

    def do(self, change: Change[Result]) -> Result:
        """Have a change made, and wait."""
        return self.submit(change).result()

    async def run(self, change: Change[Result]) -> Result:
        """Have a change made; others work meanwhile. A rater who goes away does not take a vote back."""
        return await asyncio.shield(asyncio.wrap_future(self.submit(change)))

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._waiting.put(None)
        self._thread.join()
        self._connection.close()

    def _write(self) -> None:
        is_over = False
        while not is_over:
            batch = [self._waiting.get()]
            while batch[-1] is not None and len(batch) < _MOST_TOGETHER and not self._waiting.empty():
                batch.append(self._waiting.get())
            is_over = batch[-1] is None
            _write_together(self._connection, [one for one in batch if one is not None])


def battles(path: Path) -> list[Battle]:
    """Every battle that has a vote, in the order of the votes. May be read while raters vote.

    Raises:
        UsageError: there is no such file.
        DataError: it is none of the arena's.
    """
    with closing(_existing(path)) as db:
        rows = db.execute(
            "SELECT battles.*, raters.name AS rater_name, winner, tstamp, seconds FROM votes "
            "JOIN battles ON battles.id = votes.battle JOIN raters ON raters.id = battles.rater "
            "ORDER BY tstamp, battles.id"
        )
        return [_battle(row) for row in rows]


def version(path: Path) -> tuple[int, int]:
    """What changes with every vote that is cast, taken back or brought in. Quick, however many there are.

    Raises:
        UsageError, DataError: as `battles`.
    """
    with closing(_existing(path)) as db:
        row = db.execute("SELECT (SELECT count(*) FROM votes), (SELECT coalesce(max(id), 0) FROM history)").fetchone()
        return int(row[0]), int(row[1])


def add(path: Path, given: Iterable[Battle]) -> int:
    """Take battles over into the file, made if need be; how many were new. Those with an id that is there are left.

    Raises:
        DataError: the file is none of the arena's, or a battle with the same id says something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = list(given)
    there = {battle.id: battle for battle in battles(path)} if path.exists() else {}
    differing = [one.id for one in wanted if one.id in there and record_of(there[one.id]) != record_of(one)]
    if differing:
        problems = [Problem(f"battle {name} is there, and says something else") for name in differing]
        raise DataError(f"{path}: battles have the ids of others", problems=problems)
    fresh = {one.id: one for one in wanted if one.id not in there}
    with closing(_opened(path)) as db, _transaction(db):
        for battle in fresh.values():
            _insert(db, battle)
    return len(fresh)


def rater_id(db: sqlite3.Connection, name: str) -> int:
    """The rater of that name, made if need be; `Ann` and `ann` are one."""
    row = db.execute("SELECT id FROM raters WHERE folded = ?", (name.casefold(),)).fetchone()
    if row is not None:
        return int(row["id"])
    done = db.execute(
        "INSERT INTO raters (name, folded, joined) VALUES (?, ?, ?)", (name, name.casefold(), time.time())
    )
    assert done.lastrowid is not None
    return done.lastrowid


def text(value: Mapping[str, Any]) -> str:
    """JSON that any SQLite file can hold: half a pair of surrogates is escaped."""
    return json.dumps(value)


def _write_together(db: sqlite3.Connection, batch: list[tuple[Change[Any], Future[Any]]]) -> None:
    """One transaction; a change that fails is undone alone. Nobody is told before the disk has it."""
    done: list[tuple[Future[Any], Any]] = []
    try:
        with _transaction(db):
            for change, future in batch:
                db.execute("SAVEPOINT change")
                try:
                    done.append((future, change(db)))
                except Exception as error:  # noqa: BLE001 - it is its caller's
                    db.execute("ROLLBACK TO change")
                    future.set_exception(error)
                db.execute("RELEASE change")
    except sqlite3.Error as error:  # the disk is full, or gone: none of it counts
        for _, future in batch:
            if not future.done():
                future.set_exception(error)
        return
    for future, value in done:
        future.set_result(value)


def _opened(path: Path) -> sqlite3.Connection:
    """The file, its tables made where it is new. Full sync: a power cut may not take a vote that a rater saw saved."""
    try:
        db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        with _transaction(db):
            if not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                for statement in filter(str.strip, _SCHEMA.split(";\n")):
                    db.execute(statement)
                values = [("format", FORMAT), ("secret", secrets.token_hex(32)), ("begun", str(time.time()))]
                db.executemany("INSERT INTO meta VALUES (?, ?)", values)
        _demand_format(db, path)
    except sqlite3.Error as cause:
        raise DataError(f"{path}: it cannot be opened as a file of battles: {cause}") from None
    return db


def _existing(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file", hint="align eval arena serve makes one")
    try:
        # As a writer would: a reader without that right cannot read what only the write-ahead log holds.
        db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        db.row_factory = sqlite3.Row
        _demand_format(db, path)
    except sqlite3.Error as cause:
        raise DataError(f"{path}: it cannot be read as a file of battles: {cause}") from None
    return db


def _demand_format(db: sqlite3.Connection, path: Path) -> None:
    try:
        found = _meta(db, "format")
    except (sqlite3.OperationalError, TypeError):
        raise DataError(f"{path}: this is no file of battles") from None
    if found != FORMAT:
        raise DataError(f"{path}: this is of another version of align", hint="update align")


def _meta(db: sqlite3.Connection, key: str) -> str:
    return str(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()["value"])


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _battle(row: sqlite3.Row) -> Battle:
    record = {**json.loads(row["said"]), **{key: row[key] for key in ("id", "item", "model_a", "model_b", "winner")}}
    record |= {"rater": row["rater_name"], "tstamp": row["tstamp"], "seconds": row["seconds"]}
    return battle_of({**record, "num_turns": row["num_turns"]})


def _insert(db: sqlite3.Connection, battle: Battle) -> None:
    record = record_of(battle)
    apart = ("id", "item", "model_a", "model_b", "winner", "rater", "tstamp", "seconds", "num_turns")
    said = {key: value for key, value in record.items() if key not in apart}
    db.execute(
        "INSERT INTO battles (id, rater, origin, item, model_a, model_b, state, is_revealed, opened, touched, "
        "num_turns, said) VALUES (?, ?, 'imported', ?, ?, ?, 'voted', 1, ?, ?, ?, ?)",
        (battle.id, rater_id(db, battle.rater), battle.item, battle.model_a, battle.model_b, battle.tstamp,
         battle.tstamp, battle.num_turns, text(said)),
    )  # fmt: skip
    db.execute("INSERT INTO votes VALUES (?, ?, ?, ?)", (battle.id, battle.winner, battle.tstamp, battle.seconds))
