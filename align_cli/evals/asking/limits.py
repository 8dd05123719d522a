"""How much at a time, how fast, how often and how long an endpoint is asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What an endpoint is not asked beyond."""

    in_flight: int = 16
    """Requests at a time."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    """Of prompts and replies together; a reply counts as long as it may be until it is there."""
    timeout_s: float = 300.0
    """From a request's first byte to its reply's last."""
    attempts: int = 8
    """For one request: after refused connections and HTTP 5xx, which cost nothing. Refusals for the rate are not
    counted."""
    paid_attempts: int = 3
    """For one request: after replies that were lost on the way or cannot be read, which may have been paid for."""
    backoff_s: float = 0.5
    """Wait after a first fault, where the endpoint names none; it doubles with each."""
    longest_backoff_s: float = 60.0
    longest_wait_s: float = 600.0
    """An endpoint that asks for a longer wait than this is not waited for."""
    grace_s: float = 15.0
    """For replies that are on their way when all ends early: they are paid for."""

    def __post_init__(self) -> None:
        assert self.in_flight >= 1
        assert self.attempts >= 1
        assert self.paid_attempts >= 1
