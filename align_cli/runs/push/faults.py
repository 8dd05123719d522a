"""What goes wrong between here and the Hub: in words for a user, and what is worth another try."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from align_cli.errors import AlignError, EndpointError, UsageError
from align_cli.recipe import secrets

T = TypeVar("T")
Say = Callable[[str], None]

_PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before another try, where the Hub does not say how long
_LONGEST = 330  # seconds that are waited because the Hub asks for it: its rate limits last five minutes
#: Too many requests; a server's fault; 412: somebody committed meanwhile.
_TRANSIENT = frozenset({408, 412, 425, 429, 500, 502, 503, 504})
_LONGEST_MESSAGE = 300  # characters
_BAD_CARD = "Invalid metadata in README.md."  # huggingface_hub's words
_XET_STATUS = re.compile(r"HTTP status \w+ error \((\d{3})")
#: What huggingface_hub itself tries again for half a minute (2.4: trees, upload modes, large files).
_TRIED_AGAIN = re.compile(r"GET .*/tree/|POST .*/preupload/|POST .*/info/lfs/|PUT ")


def patiently(
    action: Callable[[], T],
    *,
    say: Say,
    what: str,
    knows_the_hub: bool = True,
    pauses: tuple[float, ...] = _PAUSES,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Do `action`, again after a pause while it fails in a way that passes; a pause the Hub asks for is kept.

    `knows_the_hub`: it has answered before, so that a connection which cannot be made is a passing thing, too.

    Raises:
        Exception: what the last try raised, or the first that will not pass.
    """
    for pause in (*pauses, None):
        try:
            return action()
        except Exception as cause:
            if pause is None or not is_passing(cause, knows_the_hub=knows_the_hub):
                raise
            asked = asked_pause(cause)
            if asked is not None and asked > _LONGEST:
                raise
            wait = pause if asked is None else max(asked, pause)
            say(f"{what}: {_short(cause)}; another try in {wait:g} s")
        sleep(wait)
    raise AssertionError("the last try returns or raises")


def is_passing(cause: BaseException, *, knows_the_hub: bool = True) -> bool:
    """Whether the same request may work in a moment."""
    import httpx2

    if _TRIED_AGAIN.match(_request(cause)):
        return False
    response = _response(cause)
    if response is not None:
        return response.status_code in _TRANSIENT
    for error in _chain(cause):
        if isinstance(error, httpx2.ConnectError):
            return knows_the_hub
        if isinstance(error, httpx2.TransportError | TimeoutError | ConnectionResetError | BrokenPipeError):
            return True
    return False


def asked_pause(cause: BaseException) -> float | None:
    """Seconds that the Hub asks to wait: `Retry-After`, or the reset of its `RateLimit` header."""
    from huggingface_hub import utils

    response = _response(cause)
    if response is None:
        return None
    told = str(response.headers.get("Retry-After") or "").strip()
    if told.isdigit():
        return float(told)
    limit = utils.parse_ratelimit_headers(response.headers)
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None


def explained(cause: BaseException, *, repo: str = "", user: str = "") -> AlignError:
    """The error for the user: what happened and what to do; without a token in it."""
    if isinstance(cause, AlignError):
        return cause
    if isinstance(cause, ValueError) and _BAD_CARD in str(cause):
        reasons = _safe(" ".join(str(cause).partition(_BAD_CARD)[2].split()))
        return UsageError(f"the Hub refuses the model card: {reasons}", hint="correct README.md in the run")
    if (status := _status(cause)) is not None:
        return _of_status(status, cause, repo=repo, user=user)
    import httpx2

    for error in _chain(cause):
        if type(error).__name__ == "OfflineModeIsEnabled":
            return EndpointError("the Hub is switched off here: HF_HUB_OFFLINE is set", hint="unset HF_HUB_OFFLINE")
        if isinstance(error, httpx2.ConnectError):
            return EndpointError(
                f"the Hub cannot be reached: {_short(error)}", hint="the network, or HF_ENDPOINT, if it is set"
            )
        if isinstance(error, httpx2.TransportError | TimeoutError | ConnectionError):
            return EndpointError(f"the connection to the Hub broke: {_short(error)}", hint="the same command resumes")
    return EndpointError(f"the push failed: {_short(cause)}", hint="the same command resumes")


def wrong_token(source: str) -> UsageError:
    """For a token that the Hub does not know."""
    return UsageError(
        f"the Hub does not accept the token {source}: it is wrong, or was revoked",
        hint="hf auth login stores another one; HF_TOKEN, where set, comes before it",
    )


def _of_status(status: int, cause: BaseException, *, repo: str, user: str) -> AlignError:
    who = f"the token of {user}" if user else "the token"
    where = f" to {repo}" if repo else ""
    if status == 401:
        return UsageError(f"the Hub does not let {who} write{where}: it may be wrong, or may only read", hint=_LOGIN)
    if status == 402:
        return UsageError(f"the Hub asks for payment before it takes {repo or 'this'}: {_short(cause)}")
    if status == 403:
        return UsageError(
            f"{who} may not write{where}{_said_by_the_hub(cause)}",
            hint=f"choose a name of your own, e.g. {user or 'you'}/{repo.rpartition('/')[2] or 'model'}, "
            "or use a token that may write there",
        )
    if status == 404:
        return UsageError(f"the Hub does not show {repo or 'this'} to {who}, or there is no such thing", hint=_LOGIN)
    if status == 413:
        return EndpointError(f"a file is too large for the Hub: {_short(cause)}")
    if status == 429:
        pause = asked_pause(cause)
        when = f"; it asks to wait {pause:,.0f} s" if pause is not None else ""
        return EndpointError(f"the Hub takes no more requests from you for now{when}", hint="the same command resumes")
    if status >= 500:
        return EndpointError(f"the Hub has a fault of its own (HTTP {status})", hint="the same command resumes")
    return EndpointError(f"the Hub refuses{where} (HTTP {status}): {_short(cause)}")


_LOGIN = "hf auth login stores a token that may write; HF_TOKEN, where set, comes before it"


def _response(cause: BaseException) -> Any:
    """The HTTP response behind an error, if that is what it was."""
    for error in _chain(cause):
        response = getattr(error, "response", None)
        if response is not None and hasattr(response, "status_code"):
            return response
    return None


def _status(cause: BaseException) -> int | None:
    """The HTTP status behind an error; hf_xet, which moves the large files, has it in words only."""
    response = _response(cause)
    if response is not None:
        return int(response.status_code)
    told = _XET_STATUS.search(str(cause))
    return int(told[1]) if told else None


def _request(cause: BaseException) -> str:
    """Method and path of the request that failed; empty where nobody knows."""
    for error in _chain(cause):
        try:
            request: Any = getattr(error, "request", None)
        except RuntimeError:  # httpx2, for an error that no request belongs to
            continue
        if request is not None:
            return f"{request.method} {request.url.path}"
    return ""


def _chain(cause: BaseException) -> Iterator[BaseException]:
    """The error and those it was raised from."""
    error: BaseException | None = cause
    while error is not None:
        yield error
        error = error.__cause__


def _short(cause: BaseException) -> str:
    """One line, without what looks like a secret or is one; the Hub's own words where it has some."""
    said = getattr(cause, "server_message", None)
    lines = [line.strip() for line in str(said or cause).splitlines() if line.strip()]
    return _safe(lines[0] if lines else type(cause).__name__)


def _said_by_the_hub(cause: BaseException) -> str:
    """`: WORDS`, where the Hub has given a reason; the library's `403 Forbidden: None.` is none."""
    return f": {_short(cause)}" if getattr(cause, "server_message", None) else ""


def _safe(words: str) -> str:
    hidden = tuple(value for key, value in os.environ.items() if secrets.is_secret(key) and value)
    return secrets.scrub(words, (*hidden, *_stored_token()))[:_LONGEST_MESSAGE]


def _stored_token() -> tuple[str, ...]:
    """The token in force, so that it can be kept out of what is said."""
    from huggingface_hub import get_token

    token = get_token()
    return (token,) if token else ()
