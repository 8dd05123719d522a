"""Models that are asked while a rater waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from align_cli.errors import AlignError, EndpointError, UsageError
from align_cli.evals.arena.serve.speakers import LocalModel, ServedModel
from align_cli.evals.asking.endpoint import endpoint
from tests.evals.endpoint import Received, Reply, Server, serving

ASKED = [{"role": "user", "content": "Hi"}]


def streamed(*lines: str) -> Reply:
    body = "".join(f"{line}\n\n" for line in lines).encode()
    return Reply(body=body, headers={"Content-Type": "text/event-stream"})


def chunk(words: str) -> str:
    return f'data: {{"choices": [{{"delta": {{"content": "{words}"}}}}]}}'


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Server], ServedModel]]:
    monkeypatch.setenv("SOME_KEY", "sk-test-0123456789abcdef")

    def make(server: Server) -> ServedModel:
        place = endpoint("m", base_url=server.base_url, key_env="SOME_KEY")
        return ServedModel("m", place, system="Be brief.", parameters={"max_tokens": 9})

    return make


def answer(model: ServedModel | LocalModel) -> list[str]:
    async def work() -> list[str]:
        return [words async for words in model.answer(ASKED)]

    return asyncio.run(work())


def test_a_stream_is_read_to_its_end(served) -> None:
    lines = (": hello", 'data: {"choices": []}', chunk("One "), chunk(""), chunk("two"), "data: [DONE]", chunk("no"))
    with serving(lambda request: streamed(*lines)) as server:
        assert answer(served(server)) == ["One ", "two"]

    (request,) = server.received
    assert request.document["messages"][0] == {"role": "system", "content": "Be brief."}
    assert request.document["stream"] is True


def test_a_model_that_wants_max_completion_tokens_gets_it(served) -> None:
    def reply(request: Received) -> Reply:
        if "max_tokens" in request.document:
            return Reply(status=400, document={"error": {"message": "use max_completion_tokens"}})
        return streamed(chunk("ok"), "data: [DONE]")

    with serving(reply) as server:
        assert answer(served(server)) == ["ok"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500, document={"error": "sk-test-0123456789abcdef is tired"}),
        streamed('data: {"error": {"message": "out of memory"}}'),
        streamed("data: no json"),
        Reply(drop=True),
    ],
    ids=["500", "error", "no json", "dropped"],
)
def test_a_fault_is_told_without_the_key(served, reply: Reply) -> None:
    with serving(lambda request: reply) as server, pytest.raises(EndpointError) as raised:
        answer(served(server))

    assert "sk-test" not in str(raised.value)


class Speaker:
    """Says words until it is stopped."""

    def __init__(self, words: list[str], error: Exception | None = None) -> None:
        self.words, self.error = words, error
        self.speaking, self.most = 0, 0
        self.ended = threading.Event()

    def answer(self, messages, *, on_text, is_stopped) -> None:
        self.speaking += 1
        self.most = max(self.most, self.speaking)
        for words in self.words:
            if is_stopped():
                break
            on_text(words)
        self.speaking -= 1
        self.ended.set()
        if self.error:
            raise self.error


def test_a_local_model_speaks_to_one_at_a_time() -> None:
    speaker = Speaker(["a", "b"])

    async def work() -> list[list[str]]:
        model = LocalModel("m", speaker, system=None)

        async def one() -> list[str]:
            return [words async for words in model.answer(ASKED)]

        return await asyncio.gather(*(one() for _ in range(4)))

    assert asyncio.run(work()) == [["a", "b"]] * 4
    assert speaker.most == 1


@pytest.mark.parametrize("error", [UsageError("too long"), RuntimeError("CUDA")], ids=str)
def test_a_local_models_fault_is_an_error_of_ours(error: Exception) -> None:
    with pytest.raises(AlignError, match=str(error)):
        answer(LocalModel("m", Speaker(["a"], error), system=None))


def test_a_local_model_stops_when_nobody_listens() -> None:
    speaker = Speaker(["x"] * 10_000_000)

    async def work() -> None:
        said = LocalModel("m", speaker, system=None).answer(ASKED)
        async for _ in said:
            break
        await said.aclose()

    asyncio.run(work())

    assert speaker.ended.is_set()
