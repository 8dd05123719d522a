"""Benchmarks by name, with what a plugin promises held against what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from align_cli import promises, registry
from align_cli.evals.benchmark import MODES, Ask, Benchmark, Question, Reference, Verdict
from align_cli.registry import Entry


def named(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        UsageError: there is none.
        PluginError: its plugin is broken, or registered something else.
    """
    return benchmark_of(registry.find(registry.BENCHMARKS, name))


def benchmark_of(entry: Entry) -> Benchmark:
    """What is registered there.

    Raises:
        PluginError: as `named`.
    """
    found = registry.load(entry)
    if not entry.distribution:
        assert isinstance(found, Benchmark)
        return found
    promises.demand(entry, list(_faults(entry, found)))
    return _watched(entry, found)


def _faults(entry: Entry, found: Any) -> Iterator[str]:
    """What makes a registered value no benchmark."""
    if not isinstance(found, Benchmark):
        yield f"{entry.target} is a {type(found).__name__}, not a Benchmark"
        return
    if found.name != entry.name:
        yield f'it is registered as "{entry.name}" and its benchmark is called "{found.name}"'
    for part in ("summary", "judge"):
        if not isinstance(getattr(found, part), str) or not getattr(found, part).strip():
            yield f"{part} is not a text"
    for part in ("questions", "asks", "read"):
        if not callable(getattr(found, part)):
            yield f"{part} is a {type(getattr(found, part)).__name__}, not a function"
    if not found.modes or not set(found.modes) <= set(MODES):
        yield f"modes is {found.modes!r}, not a tuple of some of {', '.join(MODES)}"


def _watched(entry: Entry, benchmark: Benchmark) -> Benchmark:
    """The same benchmark; a mistake in one of its functions is the plugin's."""

    def watch(part: str, function: Callable[..., Any], gives: type) -> Callable[..., Any]:
        return promises.watched(entry, part, function, gives)

    optional: dict[str, tuple[Callable[..., Any], type]] = {}
    if own_questions := benchmark.own_questions:
        optional["own_questions"] = (lambda place: _questions(own_questions(place)), tuple)
    if benchmark.read_reply:
        optional["read_reply"] = (benchmark.read_reply, Verdict)
    if benchmark.own_reference:
        optional["own_reference"] = (benchmark.own_reference, Reference)
    if benchmark.addition:
        from align_cli.evals.report.addition import Addition

        optional["addition"] = (benchmark.addition, Addition)
    changed: dict[str, Any] = {part: watch(part, function, gives) for part, (function, gives) in optional.items()}
    return replace(
        benchmark,
        **changed,
        questions=watch("questions", lambda assets: _questions(benchmark.questions(assets)), tuple),
        asks=watch("asks", lambda judging: _each(benchmark.asks(judging), Ask), tuple),
        read=watch("read", benchmark.read, Verdict),
    )


def _questions(found: Sequence[Any]) -> tuple[Question, ...]:
    questions: tuple[Question, ...] = _each(found, Question)
    twice = {question.id for question in questions if sum(one.id == question.id for one in questions) > 1}
    if twice:
        raise ValueError(f"several questions have the id {', '.join(map(str, sorted(twice, key=str)))}")
    for question in questions:
        if not question.turns or not all(isinstance(turn, str) for turn in question.turns):
            raise ValueError(f"question {question.id}: turns is no tuple of texts")
    return questions


def _each(found: Any, kind: type) -> tuple[Any, ...]:
    values = tuple(found)
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"it gave a {type(value).__name__} among them, not a {kind.__name__}")
    return values
