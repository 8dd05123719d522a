"""The questions of MT-Bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from align_cli import registry
from align_cli.evals.benchmark import Question
from align_cli.evals.mtbench import BENCHMARK
from align_cli.evals.mtbench.questions import needs_references, question_of


def row(**others: Any) -> dict[str, Any]:
    return {"question_id": 1, "category": "writing", "turns": ["Write.", "Again."], **others}


def test_mtbench_is_registered_as_plugins_are() -> None:
    assert registry.get(registry.BENCHMARKS, "mtbench") is BENCHMARK


# FastChat @0e6d3e4 common.py, temperature_config and NEED_REF_CATS
@pytest.mark.parametrize(
    ("category", "temperature", "with_references"),
    [
        *[("writing", 0.7, False), ("roleplay", 0.7, False), ("extraction", 0.0, False), ("math", 0.0, True)],
        *[("coding", 0.0, True), ("reasoning", 0.0, True), ("stem", 0.1, False), ("humanities", 0.1, False)],
        ("a category of one's own", 0.7, False),
    ],
)
def test_temperature_and_references_go_by_category(category: str, temperature: float, with_references: bool) -> None:
    question = question_of(row(category=category))

    assert question.temperature == temperature
    assert needs_references(category) is with_references
    assert question.max_new_tokens == 1024


def test_a_temperature_that_a_question_requires_stands_above_its_category() -> None:
    assert question_of(row(required_temperature=0)).temperature == 0.0


def test_there_are_ten_questions_of_two_turns_in_each_of_eight_categories(
    mtbench_questions: Sequence[Question],
) -> None:
    assert [question.id for question in mtbench_questions] == list(range(81, 161))
    assert {len(question.turns) for question in mtbench_questions} == {2}
    assert [question.category for question in mtbench_questions[::10]] == [
        *("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"),
    ]
