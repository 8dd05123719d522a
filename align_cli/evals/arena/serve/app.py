"""The web app: addresses, who may ask what, and answers as JSON."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from align_cli.evals.arena import battles as logs
from align_cli.evals.arena import store as stores
from align_cli.evals.arena.ballots import Refused
from align_cli.evals.arena.serve import page
from align_cli.evals.arena.serve.arena import Arena
from align_cli.evals.arena.serve.guard import Guard
from align_cli.evals.arena.serve.live import LiveAnswers
from align_cli.evals.arena.serve.raters import Bucket, Raters, Session
from align_cli.evals.arena.serve.summary import Summary

COOKIE, HEADER = "arena", "x-arena"
#: By TLS; browsers take a cookie of such a name from the very host alone, and only as `Secure`.
SECURE_COOKIE = "__Host-arena"
_YEAR_S = 365 * 24 * 3600
#: Per rater: a vote each tenth of a second is no person.
_RATE, _BURST = 10.0, 40.0
_PROMPT_RATE, _PROMPT_BURST = 0.5, 6.0
#: Wrong tokens and codes, per address.
_WRONG_RATE, _WRONG_BURST = 0.2, 10.0
#: Names, per address: a class that begins at once may, a program that fills the file may not.
_NAME_RATE, _NAME_BURST = 1.0, 120.0
_LONGEST_WORD = 200  # of a name, code or token


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may come in."""

    is_near: bool
    """Bound to this machine alone."""
    rater_token: str | None
    """None: whoever reaches the server."""
    report_token: str
    url: str | None = None
    """`https://arena.example.org`: what others call the server, through a proxy. None: they call it directly."""

    @property
    def cookie(self) -> str:
        """Its name."""
        return SECURE_COOKIE if self.is_secure else COOKIE

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by TLS. Said by who runs the arena: a header of a request could claim it."""
        return (self.url or "").startswith("https:")


def app(arena: Arena, raters: Raters, store: stores.Store, access: Access, *, say: Callable[[str], None]) -> Guard:
    """The app as uvicorn takes it."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    desk = _Desk(arena, raters, access)

    def file(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def give(request: Request) -> Response:
            return Response(page.content(name), media_type=page.kind(name))

        return give

    def rated(act: Callable[[Session, dict[str, Any], Request], Awaitable[dict[str, Any]]]) -> Any:
        """What a rater asks for: with a session, its header, and not too often."""

        async def give(request: Request) -> Response:
            try:
                session = desk.demand(request.cookies.get(access.cookie, ""), request.headers.get(HEADER, ""))
                return JSONResponse(await act(session, await _document(request), request))
            except _Denied as denied:
                return _error(denied.status, str(denied), denied.wait)
            except Refused as refused:
                return _error(409, refused.message)

        return give

    async def enter(request: Request) -> Response:
        try:
            document = await _document(request)
            cookie, session = await desk.enter(document, request.client.host if request.client else "")
        except _Denied as denied:
            return _error(denied.status, str(denied), denied.wait)
        except Refused as refused:
            return _error(409, refused.message)
        response = JSONResponse(desk.about(session))
        response.set_cookie(
            access.cookie, cookie, max_age=_YEAR_S, path="/", httponly=True, samesite="strict", secure=access.is_secure
        )
        return response

    async def about(request: Request) -> Response:
        return JSONResponse(desk.about(raters.session(request.cookies.get(access.cookie, ""))))

    async def leave(session: Session, document: dict[str, Any], request: Request) -> dict[str, Any]:
        await raters.leave(request.cookies.get(access.cookie, ""))
        return {}

    async def now(session: Session, document: dict[str, Any], request: Request) -> dict[str, Any]:
        return await arena.now(session.rater)

    async def vote(session: Session, document: dict[str, Any], request: Request) -> dict[str, Any]:
        return await arena.vote(session.rater, request.path_params["battle"], _word(document, "vote"))

    async def skip(session: Session, document: dict[str, Any], request: Request) -> dict[str, Any]:
        return await arena.skip(session.rater, request.path_params["battle"])

    async def undo(session: Session, document: dict[str, Any], request: Request) -> dict[str, Any]:
        return await arena.undo(session.rater)

    async def reveal(session: Session, document: dict[str, Any], request: Request) -> dict[str, Any]:
        return await arena.reveal(session.rater, request.path_params["battle"])

    async def ask(session: Session, document: dict[str, Any], request: Request) -> dict[str, Any]:
        live = desk.demand_live(session)
        ballot = await arena.ballot(session.rater, request.path_params["battle"])
        return await live.ask(ballot, str(document.get("text", "")), arena.keep)

    async def stream(request: Request) -> Response:
        session = raters.session(request.cookies.get(access.cookie, ""))
        if session is None or not isinstance(arena.answers, LiveAnswers):
            return _error(401, "come in first")
        try:
            desk.demand_pace(session)
            ballot = await arena.ballot(session.rater, request.path_params["battle"])
        except _Denied as denied:
            return _error(denied.status, str(denied), denied.wait)
        except Refused as refused:
            return _error(404, refused.message)
        last = request.headers.get("last-event-id") or request.query_params.get("from", "0")
        if not last.isdecimal():
            return _error(400, "there is no such event")
        events = arena.answers.events(ballot, int(last[:9]))
        return StreamingResponse(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    def admitted(act: Callable[[], Any]) -> Any:
        """What only the holder of the report's token sees."""

        async def give(request: Request) -> Response:
            try:
                desk.demand_report(request.headers.get("authorization", ""), _place(request))
            except _Denied as denied:
                return _error(denied.status, str(denied), denied.wait)
            from starlette.concurrency import run_in_threadpool

            made = await run_in_threadpool(act)
            if isinstance(made, str):
                return Response(made, media_type="application/x-ndjson")
            return JSONResponse(made)

        return give

    def exported() -> str:
        found = stores.battles(store.path)
        return "".join(logs.line_of(logs.record_of(battle)) + "\n" for battle in found)

    async def broken(request: Request, error: Exception) -> Response:
        say(f"a request failed: {type(error).__name__}: {error}")
        return _error(500, "this did not work; nothing was lost: try again")

    battle = "/api/battles/{battle:str}"
    routes = [
        Route("/", file("arena.html")),
        Route("/report", file("report.html")),
        *[Route(f"/{name}", file(name)) for name in page.NAMES if not name.endswith(".html")],
        Route("/api/about", about),
        Route("/api/enter", enter, methods=["POST"]),
        Route("/api/leave", rated(leave), methods=["POST"]),
        Route("/api/now", rated(now), methods=["POST"]),
        Route("/api/undo", rated(undo), methods=["POST"]),
        Route(f"{battle}/vote", rated(vote), methods=["POST"]),
        Route(f"{battle}/skip", rated(skip), methods=["POST"]),
        Route(f"{battle}/reveal", rated(reveal), methods=["POST"]),
        Route(f"{battle}/ask", rated(ask), methods=["POST"]),
        Route(f"{battle}/stream", stream),
        Route("/api/report", admitted(Summary(store.path, arena.answers).document)),
        Route("/api/battles.jsonl", admitted(exported)),
    ]
    inside = Starlette(routes=routes, exception_handlers={Exception: broken})
    return Guard(inside, is_near=access.is_near, url=access.url)


class _Denied(Exception):
    """Not let in; `wait` seconds until the next try."""

    def __init__(self, status: int, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.wait = status, wait


class _Desk:
    """Who is let in, and how often."""

    def __init__(self, arena: Arena, raters: Raters, access: Access) -> None:
        self._arena, self._raters, self._access = arena, raters, access
        self._asked, self._prompted = Bucket(_RATE, _BURST), Bucket(_PROMPT_RATE, _PROMPT_BURST)
        self._wrong, self._named = Bucket(_WRONG_RATE, _WRONG_BURST), Bucket(_NAME_RATE, _NAME_BURST)

    def about(self, session: Session | None) -> dict[str, Any]:
        """What the page needs to know first."""
        known: dict[str, Any] = {
            "mode": self._arena.answers.origin,
            "needs_token": self._access.rater_token is not None,
            "rater": None,
        }
        if session is not None:
            known |= {"rater": session.name, "header": session.header}
            if self._access.rater_token is not None:
                known["code"] = self._raters.code(session.name)
        return known

    async def enter(self, document: dict[str, Any], place: str) -> tuple[str, Session]:
        """A cookie and its session."""
        wanted, given = self._access.rater_token, _word(document, "token")
        if wanted is not None and not _same(given, wanted):
            self._denied(place, "the token is not the one that raters were given")
        if wait := self._named.wait(place):
            raise _Denied(429, "that many names at a time are too many", wait)
        code = _word(document, "code")
        try:
            return await self._raters.enter(_word(document, "name"), code)
        except Refused as refused:
            if code:
                self._denied(place, refused.message)
            raise

    def demand(self, cookie: str, header: str) -> Session:
        """The session of a request that changes something."""
        session = self._raters.session(cookie)
        if session is None:
            raise _Denied(401, "come in first")
        if not _same(header, session.header):
            raise _Denied(403, "requests of other pages are refused")
        self.demand_pace(session)
        return session

    def demand_pace(self, session: Session) -> None:
        """Raise for more than a person asks."""
        if wait := self._asked.wait(session.rater):
            raise _Denied(429, "this is faster than one can read", wait)

    def demand_live(self, session: Session) -> LiveAnswers:
        """The models that answer at once."""
        if not isinstance(self._arena.answers, LiveAnswers):
            raise _Denied(404, "these answers were made beforehand")
        if wait := self._prompted.wait(session.rater):
            raise _Denied(429, "that many prompts at a time are too many", wait)
        return self._arena.answers

    def demand_report(self, header: str, place: str) -> None:
        """Raise for who may not see the report."""
        if not _same(header.removeprefix("Bearer ").strip(), self._access.report_token):
            self._denied(place, "the report needs its token")

    def _denied(self, place: str, why: str) -> None:
        if wait := self._wrong.wait(place):
            raise _Denied(429, "too many wrong tries", wait)
        raise _Denied(401, why)


def _same(given: str, wanted: str) -> bool:
    """In a time that says nothing about where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


def _word(document: dict[str, Any], key: str) -> str:
    value = document.get(key, "")
    return value[:_LONGEST_WORD] if isinstance(value, str) else ""


def _place(request: Any) -> str:
    return request.client.host if request.client else ""


async def _document(request: Any) -> dict[str, Any]:
    try:
        document = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _Denied(400, "this is no JSON object")
    return document


def _error(status: int, why: str, wait: float = 0.0) -> Any:
    from starlette.responses import JSONResponse

    headers = {"retry-after": str(max(1, round(wait)))} if wait else {}
    return JSONResponse({"error": why}, status_code=status, headers=headers)
