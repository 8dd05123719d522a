"""An arena of made-up models, and a rater who talks to its app without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align_cli.evals.arena.serve.app import Access, app
from align_cli.evals.arena.serve.arena import Arena, StoredAnswers, demand_same_answers
from align_cli.evals.arena.serve.choosing import Choosing, sides
from align_cli.evals.arena.serve.live import LiveAnswers
from align_cli.evals.arena.serve.material import Answered, Item, Material, material
from align_cli.evals.arena.serve.pairing import Pairing
from align_cli.evals.arena.serve.raters import Raters
from align_cli.evals.arena.store import FILE, Store

NAMES = ("walrus-7b", "pelican-nine", "heron-grey")
TOKENS = {"rater_token": "for-the-raters", "report_token": "for-the-report"}


def answered(name: str, count: int = 6, items: Sequence[int] | None = None) -> Answered:
    """A model's answers to questions 0 … count − 1; its texts do not name it."""
    chosen = range(count) if items is None else items
    made = {number: Item(id=f"q{number}", prompts=(f"Question {number}?",), category="birds") for number in chosen}
    answers = {one.key: (f"Answer {number}, in {len(name)} letters.",) for number, one in made.items()}
    return Answered(name=name, items={one.key: one for one in made.values()}, answers=answers)


def stored(count: int = 6, names: Sequence[str] = NAMES) -> Material:
    return material([answered(name, count) for name in names])


@dataclass
class Scripted:
    """A model that says pieces, each when `turns` of the loop have passed; or breaks."""

    name: str
    pieces: Sequence[str] = ("All ", "good ", "things.")
    error: str = ""
    pause: float = 0.0
    asked: list[list[dict[str, str]]] = field(default_factory=list)

    async def answer(self, messages: Sequence[Mapping[str, str]]) -> AsyncIterator[str]:
        self.asked.append([dict(one) for one in messages])
        for piece in self.pieces:
            await asyncio.sleep(self.pause)
            yield piece
        if self.error:
            raise OSError(self.error)


@dataclass
class Running:
    """An app over a file of battles."""

    app: Any
    store: Store
    said: list[str]
    arena: Arena

    def rater(self) -> Rater:
        return Rater(self.app)


@contextmanager
def running(
    folder: Path,
    found: Material | Sequence[Scripted] | None = None,
    *,
    overlap: float = 0.0,
    rater_token: str | None = None,
    is_near: bool = True,
    url: str | None = None,
) -> Iterator[Running]:
    """Stored answers, or models that answer at once."""
    store = Store(folder / FILE)
    said: list[str] = []
    secret = store.secret
    answers: Any
    if found is None or isinstance(found, Material):
        given = found or stored()
        demand_same_answers(store, given)
        pairing = Pairing(given.models)
        answers = StoredAnswers(given, Choosing(given, pairing, secret, overlap))
    else:
        pairing = Pairing([one.name for one in found])
        answers = LiveAnswers(found, pairing, lambda *of: sides(secret, *of), said.append)
    arena = Arena(store, answers, pairing)
    raters = Raters(store, secret, needs_code=rater_token is not None)
    access = Access(is_near=is_near, rater_token=rater_token, report_token=TOKENS["report_token"], url=url)
    try:
        yield Running(app(arena, raters, store, access, say=said.append), store, said, arena)
    finally:
        store.close()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def everything(self) -> str:
        """All that a rater could read."""
        return "\n".join([*(f"{name}: {value}" for name, value in self.headers), self.body.decode()])


class Rater:
    """A browser: keeps its cookie, sends what the page sends."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.cookie = ""
        self.header = ""
        self.received: list[str] = []

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.send("GET", path, None, headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.send("POST", path, json.dumps({} if body is None else body).encode(), headers)

    async def enter(self, name: str = "Ann", **more: str) -> Answer:
        answer = await self.post("/api/enter", {"name": name, **more})
        if answer.status == 200:
            self.cookie = str(answer.header("set-cookie")).partition(";")[0]
            self.header = answer.document["header"]
        return answer

    async def now(self) -> Any:
        return (await self.post("/api/now")).document

    async def vote(self, battle: str, word: str) -> Answer:
        return await self.post(f"/api/battles/{battle}/vote", {"vote": word})

    async def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], *, until: int | None = None
    ) -> Answer:
        """`until`: go away after so many pieces of the answer."""
        path, _, query = path.partition("?")
        given = {"host": "localhost:8642", "cookie": self.cookie, "x-arena": self.header}
        if body is not None:
            given |= {"content-type": "application/json", "content-length": str(len(body))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8642), "state": {},
        }  # fmt: skip
        pieces: list[bytes] = []
        start: dict[str, Any] = {}
        is_sent = False
        is_gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal is_sent
            if is_sent:
                await is_gone.wait()
                return {"type": "http.disconnect"}
            is_sent = True
            return {"type": "http.request", "body": body or b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            pieces.append(message.get("body", b""))
            if until is not None and len(pieces) >= until:
                is_gone.set()

        await self._app(scope, receive, send)
        answer = Answer(start["status"], [(k.decode(), v.decode()) for k, v in start["headers"]], b"".join(pieces))
        self.received.append(answer.everything)
        return answer


def events(answer: Answer) -> list[tuple[int, dict[str, Any]]]:
    """Number and content of server-sent events."""
    found = []
    for block in answer.body.decode().strip().split("\n\n"):
        if block.startswith(":"):
            continue
        number, data = block.split("\n")
        found.append((int(number.removeprefix("id: ")), json.loads(data.removeprefix("data: "))))
    return found


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(work())  # type: ignore[arg-type]
