"""Who is voting: names, sessions, and how fast one may ask."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import time
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from align_cli.evals.arena.ballots import Refused
from align_cli.evals.arena.store import Store, rater_id

LONGEST_NAME = 60
_CODE_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_MOST_WATCHED = 10_000  # buckets that are remembered


class Session(NamedTuple):
    """Somebody who has come in."""

    rater: int
    name: str
    header: str
    """What every request that changes anything carries; a page of another site cannot know it."""


class Raters:
    """Names and sessions; both outlive a restart. Cookies are kept as digests: who reads the file cannot vote."""

    def __init__(self, store: Store, secret: bytes, *, needs_code: bool) -> None:
        self._store, self._secret, self._needs_code = store, secret, needs_code
        rows = store.do(
            lambda db: db.execute(
                "SELECT digest, rater, name FROM sessions JOIN raters ON raters.id = sessions.rater"
            ).fetchall()
        )
        self._sessions = {row["digest"]: (int(row["rater"]), str(row["name"])) for row in rows}

    def session(self, cookie: str) -> Session | None:
        """Whose cookie it is."""
        found = self._sessions.get(_digest(cookie)) if cookie else None
        return Session(*found, self._header(cookie)) if found else None

    async def enter(self, typed: str, code: str) -> tuple[str, Session]:
        """A cookie for the rater of that name. Somebody else's name needs the code that its owner was shown.

        Raises:
            Refused: the name is none, or is taken and the code is not its own.
        """
        name = "".join(sign for sign in typed if unicodedata.category(sign)[0] != "C").strip()
        name = " ".join(unicodedata.normalize("NFC", name).split())
        if not name or len(name) > LONGEST_NAME:
            raise Refused(f"a name has 1 to {LONGEST_NAME} letters")
        given = code.strip().upper()
        if given and not hmac.compare_digest(given.encode(), self.code(name).encode()):
            raise Refused("this is not the code of that name")
        cookie = secrets.token_urlsafe(32)

        def begin(db: sqlite3.Connection) -> tuple[int, str]:
            taken = db.execute("SELECT 1 FROM raters WHERE folded = ?", (name.casefold(),)).fetchone()
            if taken and self._needs_code and not given:
                raise Refused("somebody votes under this name: type its code, or take another name")
            rater = rater_id(db, name)
            db.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_digest(cookie), rater, time.time()))
            row = db.execute("SELECT name FROM raters WHERE id = ?", (rater,)).fetchone()
            return rater, str(row["name"])

        found = await self._store.run(begin)
        self._sessions[_digest(cookie)] = found
        return cookie, Session(*found, self._header(cookie))

    async def leave(self, cookie: str) -> None:
        """End a session; the name stays."""
        self._sessions.pop(_digest(cookie), None)
        await self._store.run(lambda db: db.execute("DELETE FROM sessions WHERE digest = ?", (_digest(cookie),)))

    def code(self, name: str) -> str:
        """By which a rater goes on elsewhere: 8 letters."""
        made = hmac.digest(self._secret, b"code\0" + name.casefold().encode("utf-8", "surrogatepass"), hashlib.sha256)
        return "".join(_CODE_LETTERS[byte % len(_CODE_LETTERS)] for byte in made[:8])

    def _header(self, cookie: str) -> str:
        return hmac.digest(self._secret, b"header\0" + cookie.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass
class Bucket:
    """A rate limit for each of many: `burst` at once, then `rate` a second."""

    rate: float
    burst: float
    _levels: OrderedDict[object, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait(self, who: object) -> float:
        """Take one. Seconds until there is one again; 0: taken."""
        now = time.monotonic()
        level, then = self._levels.pop(who, (self.burst, now))
        level = min(self.burst, level + (now - then) * self.rate)
        taken = level >= 1
        self._levels[who] = (level - 1 if taken else level, now)
        if len(self._levels) > _MOST_WATCHED:
            self._levels.popitem(last=False)
        return 0.0 if taken else (1 - level) / self.rate
