"""Replies that one evaluation has paid for serve every other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from align_cli.evals.asking.outcome import Outcome
from align_cli.evals.benchmark import Ask
from align_cli.evals.remembered import Remembered

JUDGE = {"model": "judge", "endpoint": "https://there/v1"}
ASK = Ask(
    question_id="1",
    turn=1,
    prompt="p",
    models=("a",),
    messages=({"role": "user", "content": "Which?"},),
    parameters={"temperature": 0},
)
OUTCOME = Outcome(
    key="k", state="ok", text="A", reply={"choices": [1]}, usage={"prompt_tokens": 3, "completion_tokens": 1}, cost=0.5
)


@pytest.fixture
def remembered(tmp_path):
    return Remembered(tmp_path / "replies")


def test_a_reply_is_found_again_at_no_cost_whichever_model_asks(remembered):
    remembered.keep(ASK, JUDGE, OUTCOME)

    found = remembered.find(replace(ASK, models=("b",), question_id="2"), JUDGE, "other")

    assert found is not None
    assert (found.key, found.text, found.reply, found.usage) == ("other", OUTCOME.text, OUTCOME.reply, OUTCOME.usage)
    assert found.cost == 0
    assert "another evaluation" in found.attempts[0]["why"]


@pytest.mark.parametrize(
    ("ask", "judge"),
    [
        (replace(ASK, messages=({"role": "user", "content": "Which one?"},)), JUDGE),
        (replace(ASK, parameters={"temperature": 1}), JUDGE),
        (ASK, {**JUDGE, "model": "another"}),
        (ASK, {**JUDGE, "endpoint": "https://elsewhere/v1"}),
    ],
)
def test_another_request_or_judge_is_another_reply(remembered, ask, judge):
    remembered.keep(ASK, JUDGE, OUTCOME)

    assert remembered.find(ask, judge, "k") is None


def test_a_damaged_file_is_as_good_as_none(remembered):
    remembered.keep(ASK, JUDGE, OUTCOME)
    (file,) = remembered.folder.rglob("*.json")
    file.write_text('{"state": "ok"')

    assert remembered.find(ASK, JUDGE, "k") is None


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path):
    (tmp_path / "file").write_text("")
    nowhere = Remembered(tmp_path / "file")

    nowhere.keep(ASK, JUDGE, OUTCOME)

    assert nowhere.find(ASK, JUDGE, "k") is None
