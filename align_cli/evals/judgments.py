"""A judgment: what a judge was sent and what came of it, as `judgments.jsonl` keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from align_cli.evals.benchmark import Ask, JudgmentState, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgment:
    """One request to a judge, its reply, and what the reply says."""

    key: str
    """`Ask.key`; of a judgment made elsewhere, another digest of all that makes it."""
    question_id: int | str
    turn: int
    game: int = 1
    models: tuple[str, ...]
    """Whose answers it shows, in the order shown."""
    judge: Mapping[str, str]
    """`model` and `endpoint`; the endpoint is empty where nobody knows it."""
    prompt: str
    reference: str = ""
    """Whose reference answers were shown beside them; empty: none were."""
    request: Mapping[str, Any] | None = None
    """`messages` and `parameters`; None where only the user's message is known."""
    user_prompt: str = ""
    """That message, where there is no `request`."""
    state: JudgmentState = "ok"
    """`ok`: there is a score or a winner. Every other state counts for neither, and says why."""
    why: str = ""
    score: float | None = None
    winner: str | None = None
    """One of `models`, or `tie`."""
    text: str = ""
    """The reply's words."""
    reply: Any = None
    """The endpoint's JSON as it came; None where it was not kept."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """Tokens, as the endpoint counts them."""
    cost: float | None = None
    """In the currency of the price list; None where there is no price."""
    attempts: tuple[Mapping[str, Any], ...] = ()
    """Each with `status` (HTTP, or None), `why` (empty: it came through), `seconds`, and `waited` before it."""
    seconds: float = 0.0
    tstamp: float = 0.0

    @property
    def is_pair(self) -> bool:
        """Whether it compares two answers."""
        return len(self.models) == 2

    @property
    def shown(self) -> str:
        """The message that shows the answers to the judge."""
        if self.request is None:
            return self.user_prompt
        said = [message["content"] for message in self.request["messages"] if message["role"] == "user"]
        return str(said[-1]) if said else ""


def replied(ask: Ask, judge: Mapping[str, str], verdict: Verdict, text: str, **known: Any) -> Judgment:
    """The judgment that a reply makes, read by `Benchmark.read`; `known` are its other fields."""
    state: JudgmentState = "unreadable" if verdict.unreadable else "ok"
    return _of(
        ask, judge, state, why=verdict.unreadable, score=verdict.score, winner=verdict.winner, text=text, **known
    )


def unanswered(ask: Ask, judge: Mapping[str, str], state: JudgmentState, why: str, **known: Any) -> Judgment:
    """The judgment where no reply counts: filtered, too long, refused, failed."""
    return _of(ask, judge, state, why=why, **known)


def record_of(judgment: Judgment) -> dict[str, Any]:
    """A judgment as `judgments.jsonl` keeps it; `request` or `user_prompt` stands there, not both."""
    record = {one.name: getattr(judgment, one.name) for one in fields(judgment)}
    del record["request" if judgment.request is None else "user_prompt"]
    lists = {"models": list(judgment.models), "attempts": list(judgment.attempts)}
    return {**record, **lists, "judge": dict(judgment.judge), "usage": dict(judgment.usage)}


def judgment_of(record: Mapping[str, Any]) -> Judgment:
    """The same, read."""
    known = {one.name: record[one.name] for one in fields(Judgment) if one.name in record}
    lists = {"models": tuple(record["models"]), "attempts": tuple(record.get("attempts") or ())}
    return Judgment(**{**known, **lists, "usage": record.get("usage") or {}})


def judgments_of(records: Iterable[Mapping[str, Any]]) -> list[Judgment]:
    """As `judgment_of`, of all."""
    return [judgment_of(record) for record in records]


def _of(ask: Ask, judge: Mapping[str, str], state: JudgmentState, **known: Any) -> Judgment:
    return Judgment(
        key=ask.key(judge),
        question_id=ask.question_id,
        turn=ask.turn,
        game=ask.game,
        models=ask.models,
        judge={"model": judge["model"], "endpoint": judge["endpoint"]},
        prompt=ask.prompt,
        reference=ask.reference,
        request={"messages": [dict(message) for message in ask.messages], "parameters": dict(ask.parameters)},
        state=state,
        **known,
    )
