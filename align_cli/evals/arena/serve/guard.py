"""What is let in and how everything goes out: an ASGI layer around the whole app.

Names of the host, sizes and origins are looked at before anything is read; every answer, errors too, has the same
headers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 64 << 10  # of a request's body
_BODY_S = 20.0  # in which a body must have come
_NEAR = ("127.0.0.1", "localhost", "::1")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "cache-control": "no-store",
}
_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class Guard:
    """The layer.

    `is_near`: the server is bound to this machine alone, so nobody calls it by another name; but for `url`, by which
    others call it through a proxy. What a proxy says in headers of its own is not believed: anybody can say it.
    """

    def __init__(self, app: App, *, is_near: bool, url: str | None = None) -> None:
        self._app, self._is_near = app, is_near
        self._place = _place(url) if url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = [one for one in message.get("headers", []) if one[0].decode("latin-1") not in HEADERS]
                message = {**message, "headers": [*own, *_HEADERS]}
            await send(message)

        if refusal := self._refusal(scope):
            await _refuse(guarded, *refusal)
            return
        try:
            body = await asyncio.wait_for(_body(receive), _BODY_S)
        except TimeoutError:
            await _refuse(guarded, 408, "the request did not come to an end")
            return
        if body is None:
            await _refuse(guarded, 413, "this is too long")
            return
        await self._app(scope, _again(body, receive), guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        # A page of another site whose name was made to point here is stopped by the name it calls us by.
        if self._is_near and _name(f"//{host}") not in (*_NEAR, *([_name(f"//{self._place}")] if self._place else ())):
            return 421, "this server answers to localhost only"
        is_foreign = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        if is_foreign and (scope["method"] != "GET" or scope["path"].startswith("/api/")):
            return 403, "requests of other pages are refused"
        if scope["method"] in ("GET", "HEAD"):
            return None
        origin = headers.get("origin")
        if origin is not None and _place(origin) not in (host.lower(), self._place):
            return 403, "requests of other pages are refused"
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "requests are JSON"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return 413, "this is too long"
        return None


def _place(url: str) -> str:
    """Host and port; empty for what is no address."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too long."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, then what the server says (that the client went away)."""
    is_given = False

    async def give() -> MutableMapping[str, Any]:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"error": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
