from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from align_cli.tasks.preparing.findings import place_in
from tests.models.tiny import CHATML, tiny_model
from tests.tasks.mixtures import prepare


def turn(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def chat(question: str, answer: str, *, system: str | None = None) -> dict[str, Any]:
    first = [turn("system", system)] if system is not None else []
    return {"messages": [*first, turn("user", question), turn("assistant", answer)]}


#: Drops system turns; and renders a prompt in another way once its completion follows.
DEAF = CHATML.replace("for message in messages", "for message in messages if message['role'] != 'system'")
COUNTING = "{{ messages | length }}{% for message in messages %}{{ message.content }}{% endfor %}<|im_end|>"
PAIR = {"prompt": [turn("user", "a")], "completion": [turn("assistant", "b")]}


@pytest.mark.parametrize(
    ("rows", "values", "expected"),
    [
        ([chat("a", "b", system="Be")], {"chat_template": DEAF}, "leaves out what is said in 1 row (system"),
        ([chat("a", "b", system=" ")] * 2, {}, "2 rows with an empty system turn"),
        (
            [chat("a", "b"), chat("x" * 90, "b")],
            {"assistant_only_loss": True, "max_length": 80},
            "1 row with nothing in the loss within max_length 80",
        ),
        ([chat("a", "b" * 90)], {"max_length": 80}, "max_length 80 cuts 32 tokens in the loss, of 1 row"),
        ([PAIR], {"chat_template": COUNTING}, "1 row whose prompt is rendered differently"),
        ([{"prompt": "x" * 90, "completion": "b"}], {}, "only 2.2% of the tokens are in the loss"),
    ],
    ids=["dropped turn", "empty system turn", "long prompt", "cut loss", "other prompt", "little loss"],
)
def test_what_is_odd_about_the_rows_is_said_with_a_count(
    rows: list[dict[str, Any]], values: dict[str, Any], expected: str, model: Path, tmp_path: Path
) -> None:
    warnings = prepare(rows, model, tmp_path, **values).report["warnings"]

    assert any(expected in warning for warning in warnings), warnings


def test_the_first_odd_row_is_named_by_its_file_and_number(model: Path, tmp_path: Path) -> None:
    rows = [chat("a", "b"), chat("a", "b", system=""), chat("a", "b", system="")]

    (warning,) = prepare(rows, model, tmp_path).report["warnings"]

    assert warning.endswith("(e.g. " + str(tmp_path / "train.jsonl") + ", row 2)")


def test_sound_rows_give_no_warnings(model: Path, tmp_path: Path) -> None:
    assert prepare([chat("a", "b c", system="Be"), chat("Hi", "Hello")], model, tmp_path).report["warnings"] == []


def test_a_second_begin_token_is_found(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", bos_token="<eos>")

    report = prepare([{"text": "<eos><eos>a"}, {"text": "<eos>b"}], model, tmp_path).report

    assert [warning[:25] for warning in report["warnings"]] == ["1 row with two BOS tokens"]


@pytest.mark.parametrize(
    ("place", "expected"), [(0, "a.jsonl, row 1"), (4, "a.jsonl, row 5"), (5, "b.jsonl, row 1"), (-1, "mine")]
)
def test_a_place_is_a_file_and_the_rows_number_in_it(place: int, expected: str) -> None:
    sources = [{"label": "mine", "files": [["a.jsonl", 0], ["b.jsonl", 5]]}]

    assert place_in(sources, 0, place) == expected
    assert place_in([{"label": "mine", "files": []}], 0, 2) == "mine, row 3"
