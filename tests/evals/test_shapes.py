"""Records that other programs or people have changed are named, whatever they changed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from align_cli.errors import DataError
from align_cli.evals import folder, shapes
from align_cli.evals.benchmark import Answer, Question
from align_cli.evals.folder import Evaluation
from align_cli.evals.judgments import Judgment, record_of
from align_cli.evals.records import line_of

ANSWER = folder.record_of(Answer(question_id="q", turn=1, text="words"))
JUDGMENT = record_of(
    Judgment(key="k", question_id="q", turn=1, models=("m",), judge={"model": "j", "endpoint": ""}, prompt="p")
)
STRANGE = (None, [], {}, "x", -5, math.nan, [[1]], True)


def evaluation(place, **files: Any) -> Evaluation:
    found = Evaluation(place)
    found.begin({"benchmark": "b", "model": {"name": "m"}}, [Question(id="q", category="c", turns=("Why?",))])
    (place / folder.ANSWERS).write_bytes(line_of(files.get("answer", ANSWER)))
    (place / folder.JUDGMENTS).write_bytes(line_of(files.get("judgment", JUDGMENT)))
    return Evaluation(place)


def test_what_we_write_is_whole(tmp_path):
    whole = evaluation(tmp_path)

    assert whole.answers()["q"][0].text == "words"
    assert whole.judgments() == [JUDGMENT]
    assert [one.id for one in whole.questions() or ()] == ["q"]


@pytest.mark.parametrize("name", [name for name in shapes.ANSWER if name != "key"])
def test_a_changed_answer_is_read_or_named(tmp_path, name):
    for number, value in enumerate(STRANGE):
        changed = evaluation(tmp_path / str(number), answer={**ANSWER, name: value})
        if shapes.ANSWER[name].is_one(value):
            changed.answers()
        else:
            with pytest.raises(DataError, match=f'answers.jsonl: the record ".*" is not whole: its "{name}"'):
                changed.answers()


@pytest.mark.parametrize("name", [name for name in shapes.JUDGMENT if name != "key"])
def test_a_changed_judgment_is_read_or_named(tmp_path, name):
    for number, value in enumerate(STRANGE):
        changed = evaluation(tmp_path / str(number), judgment={**JUDGMENT, name: value})
        if shapes.JUDGMENT[name].is_one(value):
            changed.judgments()
        else:
            with pytest.raises(DataError, match=f'judgments.jsonl: the record "k" is not whole: its "{name}"'):
                changed.judgments()


@pytest.mark.parametrize("name", ["question_id", "turn", "text"])
def test_an_answer_that_lacks_something_is_named(tmp_path, name):
    lacking = evaluation(tmp_path, answer={key: value for key, value in ANSWER.items() if key != name})

    with pytest.raises(DataError, match=f'it has no "{name}"'):
        lacking.answers()


@pytest.mark.parametrize(("name", "value"), [("model", {}), ("model", "m"), ("benchmark", None), ("manner", "fast")])
def test_changed_facts_are_named(tmp_path, name, value):
    from align_cli import files

    whole = evaluation(tmp_path)
    files.write_json(tmp_path / folder.FACTS, {**whole.facts, name: value})

    with pytest.raises(DataError, match=f'this is no evaluation: its "{name}"'):
        _ = Evaluation(tmp_path).facts


def test_a_folder_where_a_file_should_be_is_named(tmp_path):
    whole = evaluation(tmp_path)
    (tmp_path / folder.ANSWERS).unlink()
    (tmp_path / folder.ANSWERS).mkdir()

    with pytest.raises(DataError, match="cannot be read"):
        whole.answers()
