"""A request to an endpoint, what came of it, and what came of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

#: `ok`; `length`: cut off, the text is kept; `filtered`: by the endpoint's content filter; `too_long`: the prompt does
#: not fit the model's context; `refused`: the model or the endpoint will not, and would not if asked again; `failed`:
#: no reply after all attempts, another time it may come.
State = Literal["ok", "length", "filtered", "too_long", "refused", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is sent, but for the model's name."""

    key: str
    """Names it for whoever asked; sent as `Idempotency-Key`."""
    messages: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """temperature, max_tokens, seed, logprobs, …: as OpenAI names them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a request."""

    key: str
    state: State
    why: str = ""
    """What to know about a state that is not `ok`."""
    text: str = ""
    """The reply's words."""
    reply: Any = None
    """The endpoint's JSON as it came, without the key should it hold it; None where none came."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """As they were sent: some models want others than were asked for."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """`prompt_tokens` and `completion_tokens` as the endpoint counts them; empty where it does not."""
    cost: float | None = None
    """USD, of all replies to this request, unusable ones too; None without a price or without usage."""
    attempts: tuple[Mapping[str, Any], ...] = ()
    """Each with `status` (HTTP, or None), `why` (empty: the last, which came through), `seconds` and `waited`, the
    seconds before it."""
    seconds: float = 0.0
    """Of the last attempt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What came of all requests."""

    states: Mapping[str, int]
    sent: int
    """Requests over HTTP, repeated ones too."""
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    """USD, of the replies whose usage is known; None without a price."""
    unsure: int
    """Requests that were sent and whose reply was lost on the way."""
    unsure_cost: float
    """USD that those may have cost, at most."""
    notes: tuple[str, ...]
    """What was sent otherwise than asked for, and why."""
    seconds: float

    @property
    def done(self) -> int:
        """Requests with an outcome."""
        return sum(self.states.values())
