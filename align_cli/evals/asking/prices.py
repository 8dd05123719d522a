"""What tokens cost, and what requests will: likely, and at most."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from align_cli.errors import UsageError
from align_cli.evals.asking.outcome import Request

#: Tokens of a likely reply: GPT-4's judgments of MT-Bench have 200.
LIKELY_REPLY = 250
_MESSAGE = 8  # tokens around each message, at most; 3 or 4 are usual
_SNAPSHOT = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8})$")

#: How `estimate` counts, in words.
HOW = (
    f"likely: a token for 4 letters of English or 1 of another script, and {LIKELY_REPLY} tokens of reply, or as many "
    "as it may have; "
    "at most: a token for each byte, and replies as long as they may be"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """USD per million tokens."""

    prompt: float
    completion: float
    source: str
    """Who says so, and when."""

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """USD."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / 1_000_000


class Size(NamedTuple):
    """Tokens of a request and its reply."""

    prompt: int
    prompt_at_most: int
    reply: int
    reply_at_most: int | None
    """None: it has no limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What requests will take, before they are sent."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    likely: float | None
    """USD; None without a price."""
    at_most: float | None
    """USD; None without a price, or if a reply has no limit. Attempts that are lost on the way are not in it."""
    how: str = HOW


def prices_of(model: str, given: str | None = None) -> Prices | None:
    """The prices of a model: those `given` as `IN,OUT`, else those of the table; None where nobody knows.

    Raises:
        UsageError: what is given are no two prices.
    """
    if given is not None:
        return _given(given)
    name = model.strip().lower().rpartition("/")[2]  # openai/gpt-4o, models/gemini-2.5-pro
    return _table().get(name) or _table().get(_SNAPSHOT.sub("", name))


def estimate(requests: Iterable[Request], prices: Prices | None) -> Estimate:
    """Tokens and USD of the requests; `Estimate.how` says how they are counted."""
    sizes = [size(request) for request in requests]
    prompt, reply = sum(one.prompt for one in sizes), sum(one.reply for one in sizes)
    most = sum(one.prompt_at_most for one in sizes), [one.reply_at_most for one in sizes]
    is_limited = prices is not None and None not in most[1]
    return Estimate(
        requests=len(sizes),
        prompt_tokens=prompt,
        completion_tokens=reply,
        likely=prices.cost(prompt, reply) if prices else None,
        at_most=prices.cost(most[0], sum(one or 0 for one in most[1])) if prices and is_limited else None,
    )


def size(request: Request) -> Size:
    """Tokens of one request. A tokenizer of bytes makes no more tokens than there are bytes."""
    texts = [_text(message) for message in request.messages]
    likely = sum(_likely_tokens(text) for text in texts) + 4 * len(texts)
    most = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) + _MESSAGE * (len(texts) + 1)
    count = max(1, int(request.parameters.get("n") or 1))
    limit = request.parameters.get("max_completion_tokens") or request.parameters.get("max_tokens")
    reply = LIKELY_REPLY if limit is None else min(LIKELY_REPLY, int(limit))
    return Size(likely, most, reply * count, None if limit is None else int(limit) * count)


def _likely_tokens(text: str) -> int:
    ascii_letters = len(text.encode("ascii", "ignore"))
    return -(-ascii_letters // 4) + len(text) - ascii_letters


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _given(text: str) -> Prices:
    parts: Sequence[str] = text.split(",")
    try:
        prompt, completion = (float(part) for part in parts)
    except ValueError:
        prompt = completion = -1.0
    if not (0 <= prompt < float("inf") and 0 <= completion < float("inf")):
        raise UsageError(
            f'--price "{text}": these are no two prices',
            hint="USD per million tokens of prompts and of replies, e.g. --price 2.5,10",
        )
    return Prices(prompt=prompt, completion=completion, source="--price")


@cache
def _table() -> dict[str, Prices]:
    found = tomllib.loads((Path(__file__).parent / "prices.toml").read_text(encoding="utf-8"))
    return {
        name: Prices(prompt=prompt, completion=completion, source=f"{one['page']}, {one['date']}")
        for one in found["providers"]
        for name, (prompt, completion) in one["models"].items()
    }
