"""What is wrong with an attempt: whose affair it is, whether another attempt may help, and how long to wait for it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from align_cli.evals.asking.complaints import Complaint

Kind = Literal[
    "limited",  # too many requests: all wait
    "overloaded",  # the endpoint has no room: all wait
    "unreachable",  # no connection: nothing was sent
    "trouble",  # HTTP 5xx
    "lost",  # sent, and no whole reply: may have been paid for
    "unusable",  # a whole reply that says nothing: may have been paid for
    "parameter",  # a parameter that the model does not take
    "unauthorised",
    "quota",
    "no_model",
    "no_chat",
    "moved",
]

#: After these no request will fare better: all ends.
FATAL: tuple[Kind, ...] = ("unauthorised", "quota", "no_model", "no_chat", "moved")
#: These are everybody's trouble, not one request's.
WIDE: tuple[Kind, ...] = ("limited", "overloaded", "unreachable")
#: After these a reply may have been paid for that is not there.
PAID: tuple[Kind, ...] = ("lost", "unusable")

#: Parameters of a request that an error's words may name.
PARAMETERS = (
    "max_completion_tokens", "max_tokens", "temperature", "top_p", "seed", "top_logprobs", "logprobs",
    "presence_penalty", "frequency_penalty", "logit_bias", "response_format", "reasoning_effort", "top_k", "min_p",
)  # fmt: skip

_UNSUPPORTED = re.compile(
    r"unsupported|not support|n't support|deprecat|unrecogni[sz]ed|unknown|extra_forbidden|extra inputs|not permitted|"
    r"not allowed|only the default|unexpected keyword|cannot (both )?be (specified|used|set)|incompatible with"
)
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|context (window|length|size)|"
    r"prompt is too long|input is too long|too many (input )?tokens|string_above_max_length|"
    r"reduce the length|input token count.*exceed|request too large|max_tokens must be at least 1, got -"
)
_FILTERED = re.compile(
    r"content_filter|content_policy|responsibleaipolicyviolation|content management policy|invalid_prompt|"
    r"usage polic|flagged|data_inspection_failed"
)
_QUOTA = re.compile(
    r"insufficient_quota|billing_hard_limit|billing_not_active|insufficient (balance|credit|funds)|perday|"
    r"credit balance is too low"
)
_BAD_KEY = re.compile(r"api key not valid|invalid api[ _]?key|incorrect api key|invalid_api_key|api_key_invalid")
_NO_MODEL = re.compile(
    r"model_not_found|deploymentnotfound|invalid_model|unknown_model|"
    r"\bmodel\b.{0,80}(not exist|not found)|not a valid model|(invalid|unknown|no such) model\b"
)
_AGAIN_IN = re.compile(r"(?:try again|retry) in\s+((?:\d+(?:\.\d+)?\s*(?:ms|h|m|s)\s*)+)", re.IGNORECASE)
_COUNTS = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[hms])", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Fault(Exception):
    """An attempt without a reply that counts."""

    def __init__(
        self,
        kind: Kind,
        why: str,
        *,
        status: int | None = None,
        after: float | None = None,
        parameter: str = "",
        usage: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why
        self.status = status
        self.after = after
        """Seconds that the endpoint asks to wait."""
        self.parameter = parameter
        self.usage = usage or {}
        """Of a reply that cannot be used."""

    @property
    def is_wide(self) -> bool:
        """Whether it is everybody's trouble."""
        return self.kind in WIDE

    @property
    def is_paid(self) -> bool:
        """Whether it may have been paid for."""
        return self.kind in PAID


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that is the request's own and final."""

    state: Literal["filtered", "too_long", "refused"]
    why: str


def judged(status: int, headers: Mapping[str, str], complaint: Complaint, *, has_json: bool) -> Fault | Refusal:
    """What an HTTP status and an error's words come to."""
    words = complaint.words
    why = f"HTTP {status}" + (f": {complaint}" if str(complaint) else "")
    after = asked_wait(headers, complaint)
    if status == 402 or (status in (400, 403, 429) and _QUOTA.search(words)):
        return Fault("quota", why, status=status)
    if status in (400, 403, 422) and _FILTERED.search(words):
        return Refusal("filtered", why)
    if status in (401, 403) or (status == 400 and _BAD_KEY.search(words)):
        return Fault("unauthorised", why, status=status)
    if status == 413 or (400 <= status <= 500 and _TOO_LONG.search(words)):
        return Refusal("too_long", why)
    if status == 404 or (status in (400, 422) and _NO_MODEL.search(words)):
        is_model = has_json and bool(_NO_MODEL.search(words) or "model" in words)
        return Fault("no_model" if is_model and "not a chat model" not in words else "no_chat", why, status=status)
    if status == 405:
        return Fault("no_chat", why, status=status)
    if status == 429:
        return Fault("limited", why, status=status, after=after)
    if status in (503, 529):
        return Fault("overloaded", why, status=status, after=after)
    if status in (408, 409, 425) or (status >= 500 and status not in (501, 505)):
        return Fault("trouble", why, status=status, after=after)
    if status in (400, 422) and (parameter := _parameter(complaint)):
        return Fault("parameter", why, status=status, parameter=parameter)
    return Refusal("refused", why)


def asked_wait(headers: Mapping[str, str], complaint: Complaint, now: float | None = None) -> float | None:
    """Seconds that an endpoint asks to wait; None where it does not say.

    From `retry-after-ms` (OpenAI, Azure), `Retry-After` in seconds or as a date (RFC 9110, 10.2.3; a date counts from
    the reply's own `Date`, so that no clock need be right), or "try again in 1m2.5s" in the message (OpenAI, Gemini).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    said = headers.get("retry-after")
    seconds = _number(said)
    if seconds is not None:
        return max(0.0, seconds)
    if said and (then := _date(said)) is not None:
        today = _date(headers.get("date") or "")
        return max(0.0, then - (today if today is not None else time.time() if now is None else now))
    found = _AGAIN_IN.search(complaint.message)
    if not found:
        return None
    return sum(float(count) * _UNITS[unit.lower()] for count, unit in _COUNTS.findall(found[1]))


def _parameter(complaint: Complaint) -> str:
    """The parameter that an endpoint does not take; empty if that is not what it complains of."""
    words = complaint.words
    if not _UNSUPPORTED.search(words):
        return ""
    if re.fullmatch(r"[a-z_]+", complaint.parameter):
        return complaint.parameter
    places = {name: found.start() for name in PARAMETERS if (found := re.search(rf"\b{name}\b", words))}
    if not places:
        return ""
    # The first that is named is the one at fault: "… 'max_tokens' …. Use 'max_completion_tokens' instead."; but of
    # "temperature and top_p cannot both be specified" (Anthropic) the second is the one to leave out.
    return (max if " both " in words else min)(places, key=lambda name: places[name])


def _number(text: Any) -> float | None:
    try:
        found = float(text)
    except (TypeError, ValueError):
        return None
    return found if found == found and found not in (float("inf"), float("-inf")) else None


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
