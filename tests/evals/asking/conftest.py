"""Asking the endpoint of `tests.evals.endpoint`, without long waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from align_cli.evals.asking.ask import ask_all
from align_cli.evals.asking.endpoint import Endpoint, endpoint
from align_cli.evals.asking.limits import Limits
from align_cli.evals.asking.outcome import Outcome, Request, Tally
from tests.evals.endpoint import Server

MODEL = "judge"


def request(key: str = "a", words: str = "How good is it?", **parameters: Any) -> Request:
    return Request(
        key=key,
        messages=[{"role": "user", "content": words}],
        parameters={"temperature": 0, "max_tokens": 64} | parameters,
    )


def many(count: int) -> list[Request]:
    return [request(f"{number:03}", f"Question {number}") for number in range(count)]


def at(server: Server, model: str = MODEL, **environ: str) -> Endpoint:
    return endpoint(model, base_url=server.base_url, environ=environ)


def quick(**changes: Any) -> Limits:
    """Limits that wait for nothing long."""
    return Limits(**{"in_flight": 4, "backoff_s": 0.002, "longest_backoff_s": 0.02, "timeout_s": 10.0} | changes)


@dataclass
class Asked:
    """What came of an `ask_all`."""

    outcomes: list[Outcome] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    tally: Tally | None = None
    error: Exception | None = None

    @property
    def only(self) -> Outcome:
        assert self.error is None
        assert len(self.outcomes) == 1
        return self.outcomes[0]

    @property
    def states(self) -> list[str]:
        return [outcome.state for outcome in self.outcomes]

    @property
    def keys(self) -> set[str]:
        return {outcome.key for outcome in self.outcomes}


Ask = Callable[..., Asked]


@pytest.fixture
def ask() -> Ask:
    """Ask a server all requests; errors come back as values."""

    def call(server: Server | Endpoint, requests: Iterable[Request] | None = None, **options: Any) -> Asked:
        asked = Asked()
        limits = options.pop("limits", None) or quick()
        where = server if isinstance(server, Endpoint) else at(server)
        options.setdefault("on_outcome", asked.outcomes.append)
        try:
            asked.tally = ask_all(
                where, [request()] if requests is None else requests, limits=limits, say=asked.said.append, **options
            )
        except Exception as error:
            asked.error = error
        return asked

    return call
