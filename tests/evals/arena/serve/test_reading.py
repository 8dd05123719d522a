"""Stored answers as files have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from align_cli.errors import DataError
from align_cli.evals.arena.serve.material import Answered, Item, material
from align_cli.evals.arena.serve.reading import of_file, questions_of


def written(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "answer": "Ho"},
        {"prompts": ["Hi"], "answers": ["Ho"]},
        {"instruction": "Hi", "output": "Ho", "generator": "m"},
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Hi"},
                      {"role": "assistant", "content": "Ho"}]},
        {"question_id": 81, "model_id": "m", "choices": [{"index": 0, "turns": ["Ho"]}]},
    ],
    ids=["own", "turns", "alpaca_eval", "messages", "fastchat"],
)  # fmt: skip
def test_every_kind_of_row_is_the_same_item(tmp_path: Path, row: dict) -> None:
    asked = questions_of(written(tmp_path / "question.jsonl", {"question_id": 81, "category": "c", "turns": ["Hi"]}))

    found = of_file(written(tmp_path / "m.jsonl", row), asked)

    key = Item(id="", prompts=("Hi",)).key
    assert found.name == "m"
    assert found.answers == {key: ("Ho",)}


def test_a_json_list_is_read_as_lines_are(tmp_path: Path) -> None:
    path = tmp_path / "model_outputs.json"
    path.write_text(json.dumps([{"instruction": "Hi", "output": "Ho", "generator": "g"}]))

    assert of_file(path, {}).name == "g"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "Hi"}, "there is no answer"),
        ({"answer": "Ho"}, "there is no prompt"),
        ({"prompts": ["a", "b"], "answers": ["c"]}, "2 prompts and 1 answers"),
        ({"messages": [{"role": "assistant", "content": "Ho"}]}, "in turn"),
        ({"messages": [{"role": "user", "content": ["Hi"]}, {"role": "assistant", "content": "Ho"}]}, "in turn"),
        ({"question_id": 9, "choices": [{"turns": ["x"]}]}, "--questions FILE"),
    ],
)
def test_all_rows_that_are_none_are_named(tmp_path: Path, row: dict, why: str) -> None:
    path = written(tmp_path / "m.jsonl", {"prompt": "a", "answer": "b"}, row, row)

    with pytest.raises(DataError) as raised:
        of_file(path, {})

    assert [problem.where for problem in raised.value.problems] == [f"{path}:2", f"{path}:3"]
    assert why in raised.value.problems[0].message


def test_an_answer_that_names_a_model_is_counted_and_can_be_left_out() -> None:
    items = {one.key: one for one in (Item(id="1", prompts=("Who are you?",)), Item(id="2", prompts=("Hi",)))}
    keys = list(items)
    one = Answered(name="walrus", items=items, answers=dict.fromkeys(keys, ("Fine.",)))
    two = Answered(name="heron", items=items, answers={keys[0]: ("I am Walrus.",), keys[1]: ("Hello.",)})

    assert any("heron: 1 answers name a model" in note for note in material([one, two]).notes)
    assert list(material([one, two], without_identities=True).items) == ["2"]
