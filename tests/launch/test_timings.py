"""What a run's end tells of the next one's time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from align_cli.launch import plan, timings
from align_cli.launch.host import Host
from align_cli.launch.memory.shape import Shape
from align_cli.launch.memory.verdict import Question
from align_cli.launch.memory.work import work_of
from align_cli.launch.plan import Plan
from align_cli.recipe.schema import Recipe

SHAPE = Shape(
    parameters=1_000_000,
    embedding=100_000,
    is_tied=True,
    hidden=64,
    layers=2,
    heads=4,
    key_values=64,
    queries=64,
    intermediate=256,
    vocabulary=1000,
)


@pytest.fixture
def made(recipe: Callable[..., Recipe], laptop: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path))
    return plan.make(recipe(num_train_epochs=1.0), laptop, Path("out"), num_train=800)


@pytest.fixture
def question(recipe: Callable[..., Recipe], laptop: Host) -> Question:
    return Question(shape=SHAPE, work=work_of(recipe(), SHAPE, device="cpu"), host=laptop, machines=1)


def test_the_next_run_takes_as_long_a_sequence_as_the_last(made: Plan, question: Question) -> None:
    key = timings.key_of("sft", made, question)
    timings.remember(key, made, {"train_runtime": 40.0}, {"steps": 20, "tokens": 8000}, Path("run"))

    found = timings.recall(key)

    assert found is not None
    assert found.sequences_per_second == 20 * 8 / 40
    assert found.tokens_per_second == 200
    assert found.seconds(made) == 800 / 4


def test_another_length_or_model_is_not_known(made: Plan, question: Question) -> None:
    timings.remember(timings.key_of("sft", made, question), made, {"train_runtime": 40.0}, {"steps": 20}, Path("run"))

    longer = replace(question, work=replace(question.work, length=4096))
    larger = replace(question, shape=replace(SHAPE, layers=3))

    for other in (longer, larger):
        assert timings.recall(timings.key_of("sft", made, other)) is None


def test_a_resumed_run_tells_nothing(made: Plan, question: Question) -> None:
    key = timings.key_of("sft", made, question)

    timings.remember(key, made, {"train_runtime": 1.0}, {"steps": 20, "resumed_from": "checkpoint-10"}, Path("run"))

    assert timings.recall(key) is None


def test_a_few_steps_do_not_replace_many(made: Plan, question: Question) -> None:
    key = timings.key_of("sft", made, question)
    timings.remember(key, made, {"train_runtime": 40.0}, {"steps": 20}, Path("long"))

    timings.remember(key, made, {"train_runtime": 40.0}, {"steps": 2}, Path("short"))

    found = timings.recall(key)
    assert found is not None
    assert found.run.endswith("long")


def test_while_steps_are_not_known_neither_is_the_time(made: Plan, question: Question) -> None:
    key = timings.key_of("sft", made, question)
    timings.remember(key, made, {"train_runtime": 40.0}, {"steps": 20}, Path("run"))

    found = timings.recall(key)

    assert found is not None
    assert found.seconds(replace(made, num_steps=None)) is None
