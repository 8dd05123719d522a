"""Judgments of answers: which are still to be asked for, what they will cost, and each kept as it comes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.evals import judgments
from align_cli.evals.asking.endpoint import Endpoint
from align_cli.evals.asking.outcome import Outcome, Request
from align_cli.evals.benchmark import (
    Answers,
    Ask,
    Assets,
    Benchmark,
    Judging,
    JudgmentState,
    Mode,
    Question,
    Reference,
    Verdict,
)
from align_cli.evals.folder import JUDGMENTS, Evaluation
from align_cli.evals.judgments import Judgment
from align_cli.evals.records import Journal
from align_cli.evals.remembered import Remembered, taken_over
from align_cli.files import digest_of

#: States that are not asked for again by themselves: the reply was paid for, or would be the same.
FINAL: tuple[JudgmentState, ...] = ("ok", "unreadable", "filtered", "too_long", "refused")
#: States that may be asked for again.
AGAIN = FINAL[1:]


@dataclass(frozen=True, kw_only=True)
class Pending:
    """One request that is still to be sent."""

    key: str
    ask: Ask
    home: Path
    """The evaluation's folder that keeps it."""
    outcome: Outcome | None = None
    """What the judge said to the same when another evaluation asked it."""

    @property
    def request(self) -> Request:
        """What is sent."""
        return Request(key=self.key, messages=self.ask.messages, parameters=self.ask.parameters)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be judged."""

    pending: Sequence[Pending]
    done: int
    """Requests whose outcome is there."""
    unanswered: int
    """Turns of the benchmark's questions that have no answer, over all models."""
    states: Mapping[str, int] = field(default_factory=dict)
    """Of what is there."""

    @property
    def to_ask(self) -> list[Pending]:
        """What has to be sent."""
        return [one for one in self.pending if one.outcome is None and one.ask.known is None]

    @property
    def remembered(self) -> int:
        """How many another evaluation has asked."""
        return sum(one.outcome is not None for one in self.pending)


def work(
    evaluations: Sequence[Evaluation],
    benchmark: Benchmark,
    questions: Sequence[Question],
    judge: Mapping[str, str],
    *,
    mode: Mode,
    baseline: Evaluation | None,
    references: str,
    files: Assets,
    reference: Reference | None = None,
    again: Iterable[str] = (),
    shared: Remembered | None = None,
) -> Work:
    """What is still to be asked. `again` are states that are asked anew; `shared` is what other evaluations asked.

    Raises:
        UsageError: two evaluations are of models with one name, or a pair is to be judged of one model.
    """
    models = _named([*evaluations, *([baseline] if baseline else [])])
    answers = {name: _there(one) for name, one in models.items()}
    judging = Judging(
        mode=mode,
        questions=questions,
        answers=answers,
        baseline=baseline.model if baseline else None,
        references=references,
        reference=reference,
        assets=files,
    )
    kept = {name: Journal(one.path / JUDGMENTS).records for name, one in models.items()}
    final = set(FINAL) - set(again)
    asked = _Asked(judge)
    pending: dict[str, Pending] = {}
    done: set[str] = set()
    states: Counter[str] = Counter()
    for ask in benchmark.asks(judging):
        key = ask.key(judge)
        if key in pending or key in done:
            continue
        home = _home(ask, baseline.model if baseline else None, list(models))
        record = kept[home].get(key)
        if record is not None and record.get("state") in final:
            done.add(key)
            states[record["state"]] += 1
        else:
            outcome = None
            if ask.known is None:
                outcome = asked.find(ask, key, kept[home]) or (shared.find(ask, judge, key) if shared else None)
            pending[key] = Pending(key=key, ask=ask, home=models[home].path, outcome=outcome)
    expected = sum(len(question.turns) for question in questions) * len(models)
    there = sum(len(found.get(question.id, ())) for found in answers.values() for question in questions)
    return Work(
        pending=list(pending.values()),
        done=len(done),
        unanswered=expected - there,
        states=dict(sorted(states.items())),
    )


class _Asked:
    """Requests that the same folder has sent for another reference or model: they have their replies."""

    def __init__(self, judge: Mapping[str, str]) -> None:
        self._judge = judge
        self._known: dict[int, dict[str, Mapping[str, Any]]] = {}

    def find(self, ask: Ask, key: str, kept: Mapping[str, Mapping[str, Any]]) -> Outcome | None:
        """What the judge said to the same request; None where it was not asked, or gave no verdict."""
        known = self._known.get(id(kept))
        if known is None:
            known = self._known[id(kept)] = {
                self._key(record): record
                for record in kept.values()
                if record.get("state") == "ok" and record.get("request") and record.get("reply") is not None
            }
        record = known.get(ask.request_key(self._judge))
        return None if record is None else taken_over(record, key, "this folder has asked the same")

    def _key(self, record: Mapping[str, Any]) -> str:
        request, judge = record["request"], record["judge"]
        identity = {"model": judge["model"], "endpoint": judge.get("endpoint", "")}
        return digest_of([identity, request["messages"], request.get("parameters") or {}])


def judged(
    benchmark: Benchmark,
    endpoint: Endpoint,
    work: Work,
    on_judgment: Callable[[Judgment], None],
    shared: Remembered | None = None,
) -> Callable[[Outcome], None]:
    """What the client calls with each outcome: it is read, and on the disk before `on_judgment` hears of it.

    What is known without asking is written down at once, before this returns.
    """
    by_key = {pending.key: pending for pending in work.pending}
    journals = {home: Journal(home / JUDGMENTS) for home in dict.fromkeys(one.home for one in work.pending)}

    def keep(pending: Pending, judgment: Judgment) -> None:
        journals[pending.home].add(judgments.record_of(judgment))
        on_judgment(judgment)

    def call(outcome: Outcome) -> None:
        pending = by_key[outcome.key]
        judgment = _judgment(benchmark, endpoint, pending.ask, outcome)
        if shared and pending.outcome is None and judgment.state == "ok":
            shared.keep(pending.ask, endpoint.identity, outcome)
        keep(pending, judgment)

    for pending in work.pending:
        if pending.ask.known is not None:
            keep(pending, _settled(endpoint, pending.ask, pending.ask.known))
        elif pending.outcome is not None:
            call(pending.outcome)
    return call


def _judgment(benchmark: Benchmark, endpoint: Endpoint, ask: Ask, outcome: Outcome) -> Judgment:
    """The outcome with what the judge said in it. A reply that was cut off is read as far as it goes."""
    known = {
        "text": outcome.text,
        "reply": outcome.reply,
        "usage": outcome.usage,
        "cost": outcome.cost,
        "attempts": outcome.attempts,
        "seconds": outcome.seconds,
        "tstamp": round(time.time(), 3),
    }
    if outcome.state != "ok" and outcome.state != "length":  # two tests: mypy narrows them
        return judgments.unanswered(ask, endpoint.identity, outcome.state, outcome.why, **known)
    if benchmark.read_reply is not None:
        return judgments.replied(ask, endpoint.identity, benchmark.read_reply(ask, outcome.reply), **known)
    verdict = benchmark.read(ask, outcome.text)
    if verdict.unreadable and outcome.state == "length":
        verdict = replace(verdict, unreadable=f"{verdict.unreadable}; the reply was cut at max_tokens")
    return judgments.replied(ask, endpoint.identity, verdict, **known)


def _settled(endpoint: Endpoint, ask: Ask, verdict: Verdict) -> Judgment:
    """A verdict that nobody was asked for: it cost nothing, and there is no reply."""
    return judgments.replied(ask, endpoint.identity, verdict, text="", cost=0.0, tstamp=round(time.time(), 3))


def _named(evaluations: Sequence[Evaluation]) -> dict[str, Evaluation]:
    found: dict[str, Evaluation] = {}
    for one in evaluations:
        other = found.get(one.model)
        if other is not None and other.path.resolve() != one.path.resolve():
            raise UsageError(
                f'{other.path} and {one.path} are both of a model called "{one.model}"',
                hint="give one of them another name: --name when its answers are made",
            )
        found.setdefault(one.model, one)
    return found


def _there(evaluation: Evaluation) -> Answers:
    """The answers that can be judged: a turn without one ends its question."""
    found: dict[int | str, list[Any]] = {}
    for question, turns in evaluation.answers().items():
        whole = []
        for answer in turns:
            if not answer.is_one:
                break
            whole.append(answer)
        if whole:
            found[question] = whole
    return found


def _home(ask: Ask, baseline: str | None, models: Sequence[str]) -> str:
    """Whose folder keeps the judgment: of two, the one that is no baseline, else the one named first."""
    candidates = [name for name in ask.models if name != baseline] or list(ask.models)
    return min(candidates, key=models.index)
