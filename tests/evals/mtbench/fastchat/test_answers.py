"""Answers in FastChat's files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.errors import DataError
from align_cli.evals.benchmark import Answer
from align_cli.evals.mtbench.fastchat import rows as files
from align_cli.evals.mtbench.fastchat.answers import read_answers, rows_of
from tests.evals.mtbench.fastchat import rows

TEXTS = st.lists(st.text().filter(lambda text: text not in ("ERROR", "$ERROR$")), min_size=1, max_size=2)


def test_a_row_is_an_answer_a_turn(tmp_path: Path) -> None:
    found = read_answers(rows.written(tmp_path / "x.jsonl", [rows.answer(81, "one", "two", model="a")]))

    assert found.model == "a"
    assert found.answers == {
        81: [
            Answer(question_id=81, turn=1, text="one", tstamp=1700000000.25),
            Answer(question_id=81, turn=2, text="two", tstamp=1700000000.25),
        ]
    }
    assert found.notes == []


def test_rows_are_sorted_and_have_fastchats_fields_in_its_order() -> None:
    said = {id_: [Answer(question_id=id_, turn=1, text="x", tstamp=2.5)] for id_ in (90, 81, "own")}

    made = rows_of("a", said)

    assert [row["question_id"] for row in made] == [81, 90, "own"]
    assert list(made[0]) == ["question_id", "answer_id", "model_id", "choices", "tstamp"]
    assert made[0]["choices"] == [{"index": 0, "turns": ["x"]}]
    assert made[0]["tstamp"] == 2.5


def test_an_answers_id_looks_like_fastchats_and_is_its_contents() -> None:
    said = [Answer(question_id=81, turn=1, text="x")]

    ids = [rows_of(model, {81: said})[0]["answer_id"] for model in ("a", "a", "b")]

    assert re.fullmatch("[2-9A-HJ-NP-Za-km-z]{22}", ids[0])
    assert ids[0] == ids[1] != ids[2]


@given(st.dictionaries(st.integers(min_value=0) | st.text(min_size=1), TEXTS, min_size=1))
def test_answers_that_are_written_read_back_equal(tmp_path_factory: pytest.TempPathFactory, texts: Any) -> None:
    said = {
        id_: [Answer(question_id=id_, turn=turn, text=text) for turn, text in enumerate(its, 1)]
        for id_, its in texts.items()
    }
    path = tmp_path_factory.mktemp("written") / "a.jsonl"

    files.write(path, rows_of("a", said))

    assert read_answers(path)[:2] == ("a", said)


def test_what_stands_for_no_answer_is_none_and_is_written_so_again(tmp_path: Path) -> None:
    path = rows.written(tmp_path / "x.jsonl", [rows.answer(81, "$ERROR$", "fine"), rows.answer(82, "ERROR", "ERROR")])

    found = read_answers(path)

    states = [answer.state for turns in found.answers.values() for answer in turns]
    assert states == ["failed", "ok", "failed", "failed"]
    assert found.answers[81][0].why
    assert [row["choices"][0]["turns"] for row in rows_of("a", found.answers)] == [["$ERROR$", "fine"], ["ERROR"] * 2]


def test_where_we_have_no_answer_fastchats_word_for_that_is_written() -> None:
    said = {81: [Answer(question_id=81, turn=1, text="", state="too_long", why="the prompt fills the context")]}

    assert rows_of("a", said)[0]["choices"][0]["turns"] == ["$ERROR$"]


def test_in_the_folder_model_answer_the_file_names_the_model(tmp_path: Path) -> None:
    found = read_answers(rows.written(tmp_path / "model_answer" / "renamed.jsonl", [rows.answer(model="a")]))

    assert found.model == "renamed"
    assert found.notes == [
        "renamed.jsonl: its rows name the model a; the file's name counts, as in FastChat",
    ]


def test_what_is_not_taken_is_counted(tmp_path: Path) -> None:
    several = [{"index": 0, "turns": ["x"]}, {"index": 1, "turns": ["y"]}]
    path = rows.written(
        tmp_path / "x.jsonl",
        [rows.answer(81, "old"), rows.answer(81, "new", generate_params={}), rows.answer(82, choices=several)],
    )

    found = read_answers(path)

    assert [turns[0].text for turns in found.answers.values()] == ["new", "x"]
    assert found.notes == [
        "x.jsonl: rows for a question that has a later row: 1; the later counts",
        "x.jsonl: rows with several choices: 1; the first counts",
        "x.jsonl: fields that are not kept: generate_params",
    ]


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"question_id": 82, "choi', "this line is no JSON"),
        ("[1]", "this line is no JSON object"),
        (without(rows.answer(), "question_id"), '"question_id" is missing'),
        (rows.answer(8.5), '"question_id" is 8.5, not a whole number'),
        (rows.answer(True), '"question_id" is true, not a whole number'),
        (without(rows.answer(), "model_id"), '"model_id" is missing'),
        (without(rows.answer(), "choices"), '"choices" is missing'),
        (rows.answer(choices=[]), '"choices" holds no answer'),
        (rows.answer(choices=["x"]), '"choices" holds no answer'),
        (rows.answer(choices=[{"turns": "text"}]), '"turns" is "text", not a list'),
        (rows.answer(choices=[{"turns": [None]}]), '"choices[0].turns" is no list of texts'),
        (rows.answer(tstamp="now"), '"tstamp" is "now", not a number'),
    ],
)
def test_a_malformed_row_is_named_by_its_line(tmp_path: Path, line: Any, words: str) -> None:
    path = rows.written(tmp_path / "x.jsonl", [rows.answer(80), "", line])

    with pytest.raises(DataError) as refused:
        read_answers(path)

    assert refused.value.message == f"{path}:3: {words}"


def test_all_malformed_rows_are_named_together(tmp_path: Path) -> None:
    path = rows.written(tmp_path / "x.jsonl", ["{", rows.answer(), rows.answer(choices=[])])

    with pytest.raises(DataError) as refused:
        read_answers(path)

    assert [problem.where for problem in refused.value.problems] == [f"{path}:1", f"{path}:3"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [([], "there are no answers"), ([rows.answer(model="a"), rows.answer(model="b")], "several models: a, b")],
)
def test_a_file_is_one_models(tmp_path: Path, lines: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_answers(rows.written(tmp_path / "x.jsonl", lines))


def test_stored_answers_are_read_and_written_again_to_the_byte_but_for_their_ids(stored: Path, tmp_path: Path) -> None:
    paths = [*(stored / "model_answer").glob("*.jsonl"), *(stored / "model_judgment").rglob("answers_*.jsonl")]

    for path in paths:
        found = read_answers(path)
        files.write(tmp_path / path.name, rows_of(found.model, found.answers))
        assert nameless(tmp_path / path.name) == nameless(path)
        assert found.notes == []
    assert len(paths) == 5 + 6 + 2


def nameless(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    assert len(re.findall(r'"answer_id": "\w{22}"', text)) == 80
    return re.sub(r'"answer_id": "\w{22}"', "", text)


def test_stored_answers_have_all_questions_and_both_turns(stored: Path) -> None:
    found = read_answers(stored / "model_answer" / "zephyr-7b-beta.jsonl")

    assert found.model == "zephyr-7b-beta"
    assert list(found.answers) == list(range(81, 161))
    lines = (stored / "model_answer" / "zephyr-7b-beta.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(lines[-1])["choices"][0]["turns"]
    assert [answer.text for answer in found.answers[160]] == last
