"""AlpacaEval's instructions and reference outputs, where this machine has them or may fetch them."""

from __future__ import annotations

import json

import pytest

from align_cli.errors import DataError
from align_cli.evals.alpacaeval.evaluation_set import BASELINE, BASELINE_1, questions, reference
from align_cli.evals.benchmark import Assets
from tests.evals.alpacaeval.conftest import folder_with


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    return Assets(folder_with((BASELINE,), tmp_path_factory.mktemp("assets")))


def test_there_are_805_instructions_and_each_is_answered(files):
    asked = questions(files)
    answered = reference(files, BASELINE)

    assert len({one.id for one in asked}) == 805
    assert {one.category for one in asked} == {"helpful_base", "koala", "oasst", "selfinstruct", "vicuna"}
    assert answered.name == "gpt4_1106_preview"
    assert {one.id for one in asked} == answered.answers.keys()


def test_version_1s_answers_are_taken_only_if_they_are_to_these_instructions(files, tmp_path):
    rows = [{"instruction": one.turns[0], "output": "a", "generator": "text_davinci_003"} for one in questions(files)]
    for name, content in (("good", rows), ("bad", [*rows[1:], {**rows[0], "instruction": "Another?"}])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "alpaca_eval.json").write_text(json.dumps(content))
        (tmp_path / name / "alpaca_eval_gpt4_baseline.json").symlink_to(files.path(BASELINE))

    assert len(reference(Assets(tmp_path / "good"), BASELINE_1).answers) == 805
    with pytest.raises(DataError, match="1 of them with instructions that are not AlpacaEval's 805"):
        reference(Assets(tmp_path / "bad"), BASELINE_1)
