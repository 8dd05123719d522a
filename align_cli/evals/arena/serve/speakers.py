"""Models that answer while a rater waits: on a server, or on this machine."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

from align_cli.errors import AlignError, EndpointError
from align_cli.evals.arena.serve.live import Messages
from align_cli.evals.asking.endpoint import Endpoint
from align_cli.evals.speaking import Speaking
from align_cli.recipe.secrets import scrub

_CONNECT_S = 15.0
_SILENCE_S = 120.0  # between two words
_MOST_BYTES = 4 << 20  # of an answer's stream
_LONGEST_COMPLAINT = 300


class ServedModel:
    """A model behind an endpoint that speaks OpenAI's protocol."""

    def __init__(self, name: str, endpoint: Endpoint, *, system: str | None, parameters: Mapping[str, Any]) -> None:
        self.name = name
        self._endpoint, self._system = endpoint, system
        self._parameters = dict(parameters)
        self._http: Any = None

    async def answer(self, messages: Messages) -> AsyncIterator[str]:
        """The words of the answer as they come.

        Raises:
            EndpointError: there is none; the message holds no key.
        """
        import httpx2

        turns = [{"role": "system", "content": self._system}] if self._system else []
        document = {"model": self._endpoint.model, "messages": [*turns, *map(dict, messages)], "stream": True}
        try:
            async for words in self._asked({**document, **self._parameters}):
                yield words
        except (httpx2.HTTPError, OSError) as cause:
            raise EndpointError(self._without_secrets(str(cause) or type(cause).__name__)) from None

    async def _asked(self, document: dict[str, Any]) -> AsyncIterator[str]:
        request = {"json": document, "headers": {"Accept": "text/event-stream"}}
        async with self._client().stream("POST", self._endpoint.url("chat/completions"), **request) as response:
            if response.status_code != 200:
                said = (await response.aread())[:_MOST_BYTES].decode("utf-8", "replace")
                if self._learns(said, document):
                    response = None
                else:
                    raise EndpointError(self._without_secrets(f"HTTP {response.status_code}: {said}"))
            else:
                async for words in _words(response):
                    yield words
        if response is None:
            async for words in self._asked(document):
                yield words

    def _learns(self, said: str, document: dict[str, Any]) -> bool:
        """Newer models of OpenAI take `max_completion_tokens`; whether the request should be sent again so."""
        if "max_completion_tokens" not in said or "max_tokens" not in document:
            return False
        self._parameters["max_completion_tokens"] = document["max_completion_tokens"] = document.pop("max_tokens")
        self._parameters.pop("max_tokens", None)
        return True

    def _client(self) -> Any:
        """One for all conversations, made in the loop that uses it. Redirects would take the key along."""
        import httpx2

        if self._http is None:
            timeout = httpx2.Timeout(_SILENCE_S, connect=_CONNECT_S)
            self._http = httpx2.AsyncClient(
                headers=self._endpoint.headers(), timeout=timeout, follow_redirects=False,
                trust_env=not self._endpoint.is_near,
            )  # fmt: skip
        return self._http

    def _without_secrets(self, text: str) -> str:
        return scrub(" ".join(text.split()), self._endpoint.secret_values())[:_LONGEST_COMPLAINT]


async def _words(response: Any) -> AsyncIterator[str]:
    """The text of a stream of chat completion chunks."""
    size = 0
    async for line in response.aiter_lines():
        size += len(line)
        if size > _MOST_BYTES:
            raise EndpointError("its answer does not come to an end")
        if not line.startswith("data:") or not (data := line[5:].strip()):
            continue
        if data == "[DONE]":
            return
        try:
            chunk = json.loads(data)
            if "error" in chunk:
                raise EndpointError(f"its stream says: {str(chunk['error'])[:_LONGEST_COMPLAINT]}")
            choices = chunk.get("choices") or [{}]
            words = (choices[0].get("delta") or {}).get("content")
        except (ValueError, AttributeError, KeyError, TypeError):
            raise EndpointError(f"its stream is no chat completion: {data[:80]}") from None
        if words:
            yield str(words)


class LocalModel:
    """A model in this process: one conversation at a time, in a thread of its own; others wait their turn."""

    def __init__(self, name: str, speaker: Any, *, system: str | None) -> None:
        self.name = name
        self._speaker, self._system = speaker, system
        self._turn = asyncio.Lock()

    async def answer(self, messages: Messages) -> AsyncIterator[str]:
        """The words of the answer as they come.

        Raises:
            AlignError: the template refuses the conversation, or it fills the context.
        """
        turns = [{"role": "system", "content": self._system}] if self._system else []
        async with self._turn:
            loop = asyncio.get_running_loop()
            words: asyncio.Queue[str | Exception | None] = asyncio.Queue()
            is_stopped = threading.Event()

            def tell(value: str | Exception | None) -> None:
                loop.call_soon_threadsafe(words.put_nowait, value)

            def speak() -> None:
                try:
                    self._speaker.answer([*turns, *messages], on_text=tell, is_stopped=is_stopped.is_set)
                    tell(None)
                except Exception as error:  # noqa: BLE001 - it is told where it is waited for
                    tell(error)

            work = loop.run_in_executor(None, speak)
            try:
                while (said := await words.get()) is not None:
                    if isinstance(said, Exception):
                        raise said if isinstance(said, AlignError) else AlignError(f"{type(said).__name__}: {said}")
                    yield said
            finally:
                is_stopped.set()
                await asyncio.shield(work)


def opened(
    name: str, speaking: Speaking, *, chat_template: str | None, dtype: str, trust_remote_code: bool,
    system: str | None, temperature: float, max_new_tokens: int,
) -> LocalModel:  # fmt: skip
    """The model in memory. `system` is spoken with instead of the run's own; empty for none.

    Raises:
        UsageError: its files are damaged or do not fit.
        LaunchError: the dtype cannot be had here.
    """
    from align_cli.models.speaking.conversing import Sampling, Speaker
    from align_cli.models.speaking.opened import open_chain

    chain = open_chain(speaking.chain, chat_template=chat_template, dtype=dtype, trust_remote_code=trust_remote_code)
    sampling = Sampling(temperature=temperature, max_new_tokens=max_new_tokens)
    own = speaking.served.system if system is None else system
    return LocalModel(name, Speaker(chain, sampling), system=own or None)
