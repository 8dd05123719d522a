"""Lists of outputs and of instructions that users bring."""

from __future__ import annotations

import json

import pytest

from align_cli.errors import DataError
from align_cli.evals.alpacaeval.evaluation_set import id_of
from align_cli.evals.alpacaeval.outputs import read_questions, read_reference

ROWS = [
    {"instruction": "One?", "output": "1", "generator": "g", "dataset": "d"},
    {"instruction": "Two?", "output": "2", "generator": "g"},
]


@pytest.mark.parametrize("layout", ["list", "lines"])
def test_a_list_and_lines_are_the_same(tmp_path, layout):
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(ROWS) if layout == "list" else "".join(json.dumps(row) + "\n" for row in ROWS))

    found = read_reference(file)

    assert found.name == "g"
    assert found.answers == {id_of("One?"): ("1",), id_of("Two?"): ("2",)}


def test_outputs_without_a_generator_are_called_like_their_file(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps([{"instruction": "One?", "output": "1"}]))

    assert read_reference(file).name == "mine"


def test_questions_have_their_data_set_as_category_and_stand_once(tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, ROWS[0]]))

    found = read_questions(file)

    assert [(one.turns, one.category) for one in found] == [(("One?",), "d"), (("Two?",), "")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "there are no outputs in it"),
        ("[]", "there are no outputs in it"),
        ("{", "this is no JSON"),
        ('[{"instruction": "One?"}]', "row 1"),
        ('[{"instruction": "One?", "output": 3}]', "has no text output"),
        ('[1, "x"]', "row 2"),
        (json.dumps([ROWS[0], {**ROWS[1], "generator": "h"}]), '"g", "h"'),
        ('[{"instruction": "a", "output": "b"}, {"instruction": "a", "output": "c"}]', "row 2 has another output"),
    ],
)  # fmt: skip
def test_a_damaged_list_is_named_with_its_rows(tmp_path, content, said):
    file = tmp_path / "outputs.json"
    file.write_text(content)

    with pytest.raises(DataError) as caught:
        read_reference(file)

    assert "outputs.json" in str(caught.value)
    assert said in "\n".join([str(caught.value), *(problem.placed for problem in caught.value.problems)])
