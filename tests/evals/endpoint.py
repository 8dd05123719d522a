"""A real endpoint on this machine that speaks OpenAI's chat completions, and misbehaves as it is told.

In a test::

    with serving() as server:                        # judges whatever it is asked: Rating: [[1]] to [[10]]
        server.next(error(503), Reply(drop=True))    # what the next two requests get; then it judges again
        server.latency = 0.2                         # seconds before each reply
        ...                                          # ask server.base_url
        server.received                              # every request: .key, .nth, .words, .headers, .document, .at
        server.asked["some key"]                     # how often a request with this Idempotency-Key came

    with serving(lambda request: said(request.words.upper())) as server: ...   # anything else, by a function
    with serving(key="sk-test-0123456789") as server: ...                      # 401 without this key
    with serving(models=("judge",)) as server: ...                             # 404 for any other model

A reply may wait for the test: `Reply(until=event)`; a test waits for requests with `server.wait_for(3)`.

As a process of its own, for benchmarks (it prints its address, then serves until it is killed)::

    python -m tests.evals.endpoint --latency 1 --log requests.jsonl
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
_WAIT_S = 20.0  # a test that waits longer has failed


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    document: Any
    key: str
    """Its Idempotency-Key."""
    nth: int
    """How often this key has come, this time included."""
    at: float
    """`time.monotonic()`."""

    @property
    def words(self) -> str:
        """The last message's."""
        return str(self.document["messages"][-1]["content"])


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What goes back."""

    status: int = 200
    document: Any = None
    body: bytes | None = None
    """Instead of a document."""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    """Seconds before its first byte, besides the server's latency."""
    until: threading.Event | None = None
    """Its first byte waits for this."""
    drop: bool = False
    """Hang up without a byte."""
    cut: int | None = None
    """Hang up after so many bytes of the body."""
    stall: int | None = None
    """After so many bytes of the body, say nothing more."""


def said(text: Any, *, finish: str | None = "stop", usage: Mapping[str, Any] | None = None, **message: Any) -> Reply:
    """A chat completion whose message has this content; `message` are further parts of it."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    counts = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110} if usage is None else dict(usage)
    return Reply(document={"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": counts})


def error(
    status: int,
    message: str = "no reason",
    *,
    code: str | None = None,
    kind: str = "invalid_request_error",
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """An error as OpenAI words it."""
    document = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return Reply(status=status, document=document, headers=headers or {})


def judging(request: Received) -> Reply:
    """A judge's verdict, the same for the same words: a rating, of two answers the better, or AlpacaEval's token."""
    text = json.dumps(request.document["messages"])
    number = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    counts = {"prompt_tokens": len(text) // 4, "completion_tokens": 10}
    if request.document.get("logprobs"):
        tops = [{"token": "m", "logprob": -0.2 - number % 7}, {"token": "M", "logprob": -0.3 - number % 5}]
        reply = said(max(tops, key=lambda top: float(top["logprob"]))["token"], usage=counts | {"completion_tokens": 1})
        reply.document["choices"][0]["logprobs"] = {"content": [{"token": "m", "top_logprobs": tops}]}
        return reply
    if "[[A]]" in text:
        return said(f"After comparing both, my verdict is [[{'ABC'[number % 3]}]].", usage=counts)
    return said(f"The answer is what it is. Rating: [[{number % 10 + 1}]]", usage=counts)


class Server:
    """What `serving` gives."""

    def __init__(
        self, answer: Callable[[Received], Reply | str], *, latency: float, key: str | None, models: Sequence[str]
    ) -> None:
        self.answer = answer
        self.latency = latency
        self.key = key
        self.models = list(models)
        self.received: list[Received] = []
        """Requests for completions, in the order in which they came."""
        self.asked: Counter[str] = Counter()
        """How many came, by Idempotency-Key."""
        self.most_in_flight = 0
        self.port = 0
        self.log: Callable[[Received, Reply], None] = lambda request, reply: None
        self._next: deque[Reply] = deque()
        self._in_flight = 0
        self._arrived = threading.Condition()
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """What to ask."""
        return f"http://127.0.0.1:{self.port}/v1"

    def next(self, *replies: Reply) -> None:
        """What the next requests get, each one, whatever they ask."""
        self._next.extend(replies)

    def wait_for(self, count: int) -> None:
        """Until so many requests have come."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.received) >= count, _WAIT_S), "the requests did not come"

    async def serve(self, port: int, started: Callable[[], None], until: asyncio.Event) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        started()
        await until.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            with suppress(Exception):
                writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; whether another may follow on this connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if method == "GET" and path.partition("?")[0].endswith("/models"):
            models = {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}
            await _write(writer, self._refusal(headers, None) or Reply(document=models))
            return True
        document = json.loads(body) if body else None
        key = headers.get("idempotency-key", "")
        self.asked[key] += 1
        request = Received(
            method=method,
            path=path,
            headers=headers,
            document=document,
            key=key,
            nth=self.asked[key],
            at=time.monotonic(),
        )
        scripted = self._next.popleft() if self._next else None
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            with self._arrived:
                self.received.append(request)
                self._arrived.notify_all()
            reply = scripted or self._refusal(headers, document) or self.answer(request)
            reply = said(reply) if isinstance(reply, str) else reply
            self.log(request, reply)
            await asyncio.sleep(self.latency + reply.after)
            if reply.until is not None:
                await asyncio.to_thread(reply.until.wait, _WAIT_S)
            return await _write(writer, reply)
        finally:
            self._in_flight -= 1

    def _refusal(self, headers: Mapping[str, str], document: Any) -> Reply | None:
        sent = headers.get("api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if self.key is not None and sent != self.key:
            return error(401, f"Incorrect API key provided: {sent}.", code="invalid_api_key")
        if document is not None and self.models and document.get("model") not in self.models:
            return error(404, f"The model `{document.get('model')}` does not exist.", code="model_not_found")
        return None


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> bool:
    if reply.drop:
        return False
    body = json.dumps(reply.document).encode() if reply.body is None else reply.body
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Whatever')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    end = next((one for one in (reply.cut, reply.stall) if one is not None), len(body))
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body[:end])
    await writer.drain()
    if reply.stall is not None:
        await asyncio.sleep(_WAIT_S)
    return end == len(body)


@contextmanager
def serving(
    answer: Callable[[Received], Reply | str] = judging,
    *,
    latency: float = 0.0,
    key: str | None = None,
    models: Sequence[str] = (),
) -> Iterator[Server]:
    """A server on a free port, in a thread, for the length of the block."""
    server = Server(answer, latency=latency, key=key, models=models)
    started, loop, until = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve(0, started.set, until)), daemon=True)
    thread.start()
    assert started.wait(_WAIT_S)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(until.set)
        thread.join(_WAIT_S)
        if not thread.is_alive():
            loop.close()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each reply")
    parser.add_argument("--key", help="refuse any other")
    parser.add_argument("--log", type=Path, help="a JSON line for each request: key, nth, status")
    given = parser.parse_args()
    server = Server(judging, latency=given.latency, key=given.key, models=())
    if given.log:
        file = given.log.open("a", encoding="utf-8", buffering=1)
        server.log = lambda request, reply: print(
            json.dumps({"key": request.key, "nth": request.nth, "status": reply.status}), file=file
        )

    async def serve() -> None:
        await server.serve(given.port, lambda: print(server.base_url, flush=True), asyncio.Event())

    with suppress(KeyboardInterrupt):
        asyncio.run(serve())


if __name__ == "__main__":
    sys.exit(main())
