"""What a benchmark's plugin promises is held against what it gives."""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import pytest

from align_cli.errors import PluginError
from align_cli.evals import registered
from align_cli.evals.benchmark import Ask, Assets, Benchmark, Judging, Question, Verdict
from align_cli.registry import Entry

GOOD = Benchmark(
    name="mine",
    summary="A benchmark",
    questions=lambda assets: [Question(id=1, category="c", turns=("q",))],
    asks=lambda judging: iter(
        [Ask(question_id=1, turn=1, prompt="p", models=("m",), messages=({"role": "user", "content": "a"},))]
    ),
    read=lambda ask, text: Verdict(score=1.0),
    judge="gpt-4",
)
ASK = Ask(question_id=1, turn=1, prompt="p", models=("m",), messages=())


@pytest.fixture
def entry(monkeypatch):
    """`entry(value)` is that value, registered by a package."""

    def registered_as(value: object) -> Entry:
        module = types.ModuleType("align_mine")
        module.BENCHMARK = value  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "align_mine", module)
        return Entry("mine", "align_mine:BENCHMARK", "align-mine")

    return registered_as


def judging() -> Judging:
    return Judging(mode="single", questions=(), answers={})


def test_a_good_one_works(entry):
    found = registered.benchmark_of(entry(GOOD))

    assert [question.id for question in found.questions(Assets())] == [1]
    assert [ask.prompt for ask in found.asks(judging())] == ["p"]
    assert found.read(ASK, "").score == 1.0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "is a int, not a Benchmark"),
        (replace(GOOD, name="other"), 'its benchmark is called "other"'),
        (replace(GOOD, summary=" "), "summary is not a text"),
        (replace(GOOD, read=None), "read is a NoneType, not a function"),  # type: ignore[arg-type]
        (replace(GOOD, modes=("duel",)), "modes is"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_benchmark_names_its_package(entry, value, said):
    with pytest.raises(PluginError, match="align-mine") as broken:
        registered.benchmark_of(entry(value))

    assert said in broken.value.message


def fails(*args):
    raise KeyError("its own mistake")


@pytest.mark.parametrize(
    ("part", "function", "said"),
    [
        ("questions", fails, "failed in its questions: KeyError"),
        ("questions", lambda assets: [1], "it gave a int among them, not a Question"),
        (
            "questions",
            lambda assets: [Question(id=1, category="c", turns=("q",))] * 2,
            "several questions have the id 1",
        ),
        ("questions", lambda assets: [Question(id=1, category="c", turns=())], "question 1: turns is no tuple"),
        ("asks", fails, "failed in its asks: KeyError"),
        ("asks", lambda judging: ["ask"], "it gave a str among them, not a Ask"),
        ("read", fails, "failed in its read: KeyError"),
        ("read", lambda ask, text: 7, "it gave a int, not a Verdict"),
    ],
)
def test_a_plugins_mistake_is_the_plugins(entry, part, function, said):
    found = registered.benchmark_of(entry(replace(GOOD, **{part: function})))
    arguments = {"questions": (Assets(),), "asks": (judging(),), "read": (ASK, "")}[part]

    with pytest.raises(PluginError, match="align-mine") as broken:
        getattr(found, part)(*arguments)

    assert said in broken.value.message
