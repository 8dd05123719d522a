"""A model's answers to a benchmark: what they depend on, which are still to be made, and who makes them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from align_cli import assets, registry
from align_cli.errors import UsageError
from align_cli.evals import folder, own
from align_cli.evals.benchmark import Answer, Answers, Benchmark, Question
from align_cli.evals.folder import Evaluation
from align_cli.evals.records import Journal
from align_cli.files import digest_of

Engine = Literal["transformers", "vllm", "endpoint"]
ENGINES: tuple[Engine, ...] = ("transformers", "vllm", "endpoint")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How answers are made: what changes them. Whoever goes on must go on in the same manner."""

    engine: Engine = "transformers"
    seed: int = 0
    """Of sampling; each question begins with it, as FastChat's first choice does."""
    temperature: float | None = None
    """For every question, instead of the benchmark's own."""
    max_new_tokens: int | None = None
    """A turn, instead of the benchmark's own."""
    system: str | None = None
    """A system prompt; None: that of the run's own training data, if it had one."""
    dtype: str = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which of the questions are answered now; the others may follow."""

    first: int | None = None
    """So many of each category."""
    categories: tuple[str, ...] = ()

    def of(self, questions: Sequence[Question]) -> list[Question]:
        """The chosen ones, in their order.

        Raises:
            UsageError: there is no such category.
        """
        known = list(dict.fromkeys(question.category for question in questions))
        for category in self.categories:
            if category not in known:
                raise UsageError(f'there is no category "{category}"', hint=registry.suggest(category, known))
        taken: dict[str, int] = {}
        found = []
        for question in questions:
            if self.categories and question.category not in self.categories:
                continue
            taken[question.category] = taken.get(question.category, 0) + 1
            if self.first is None or taken[question.category] <= self.first:
                found.append(question)
        return found


def in_manner(questions: Sequence[Question], manner: Manner) -> list[Question]:
    """The questions, asked in this manner."""
    changes: dict[str, Any] = {}
    if manner.temperature is not None:
        changes["temperature"] = manner.temperature
    if manner.max_new_tokens is not None:
        changes["max_new_tokens"] = manner.max_new_tokens
    return [replace(question, **changes) for question in questions]


def facts(
    benchmark: Benchmark,
    model: Mapping[str, Any],
    manner: Manner,
    questions: Sequence[Question],
    *,
    listed: Sequence[Question] | None = None,
) -> dict[str, Any]:
    """What `evaluation.json` says: everything the answers depend on.

    `listed` are the questions as the folder lists them, where they are not the benchmark's own.
    """
    asked = {"count": len(questions), "digest": digest_of([asdict(question) for question in questions])}
    if listed is not None:
        asked["file"] = hashlib.sha256(own.listed(listed)).hexdigest()
    return {
        "benchmark": benchmark.name,
        "model": dict(model),
        "manner": asdict(manner),
        "questions": asked,
        "files": {} if listed is not None else {name: assets.sha256(name) for name in benchmark.files},
        "versions": versions(manner.engine),
    }


def versions(engine: Engine) -> dict[str, str]:
    """Of the packages that decide an answer; read without importing them."""
    from align_cli import __version__

    found = {"align-cli": __version__}
    for package in {"transformers": ("torch", "transformers"), "vllm": ("torch", "vllm"), "endpoint": ()}[engine]:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is still to be answered."""

    questions: Sequence[Question]
    """With at least one turn that has no answer yet."""
    have: Answers
    """The turns of them that are there."""
    turns: int
    """How many are still to be made."""
    done: int
    """How many are there, of the chosen questions."""


def work(questions: Sequence[Question], have: Mapping[int | str, Sequence[Answer]]) -> Work:
    """What is missing of the questions. A turn that failed is made again, and so are those after it."""
    kept: dict[int | str, list[Answer]] = {}
    missing, turns, done = [], 0, 0
    for question in questions:
        good: list[Answer] = []
        final = False
        for answer in have.get(question.id, ()):
            if answer.state == "failed" or answer.turn != len(good) + 1:
                break
            good.append(answer)
            final = not answer.is_one
        left = 0 if final else len(question.turns) - len(good)
        done += len(good)
        if left:
            missing.append(question)
            turns += left
            if good:
                kept[question.id] = good
    return Work(questions=missing, have=kept, turns=turns, done=done)


def keep(journal: Journal, on_answer: Callable[[Answer], None] = lambda answer: None) -> Callable[[Answer], None]:
    """What an engine calls with each answer: it is on the disk before `on_answer` hears of it."""

    def call(answer: Answer) -> None:
        if not answer.tstamp:
            answer = replace(answer, tstamp=round(time.time(), 3))
        journal.add(folder.record_of(answer))
        on_answer(answer)

    return call


def unfinished(evaluation: Evaluation, questions: Sequence[Question]) -> Work:
    """`work` with what the folder holds."""
    return work(questions, evaluation.answers())
