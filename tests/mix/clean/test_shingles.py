from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.mix.clean import duplicates, shingles
from align_cli.mix.layout.columns import COLUMNS
from tests.mix.clean import rows

LONG = "The quick brown fox jumps over the lazy dog while the cat sleeps on the warm stone wall all day"


def hashes(batch: Any, shape: str = "messages") -> list[tuple[int, ...]]:
    return [tuple(row) for row in shingles.row_hashes(batch, shape).tolist()]


def likeness(batch: Any, shape: str = "messages") -> float:
    one, other = shingles.signatures(batch, shape)
    return float((one == other).mean())


_TEXT = st.text("ab \n", max_size=6)
_TURN = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system"]),
        "content": st.none() | _TEXT,
        "extra": st.none() | st.just('{"name": "x"}'),
    }
)
_VALUES = {"turns": st.lists(_TURN, max_size=3), "text": st.none() | _TEXT, "flag": st.booleans()}


@pytest.mark.parametrize("shape", COLUMNS)
@settings(max_examples=30)
@given(data=st.data())
def test_rows_have_equal_hashes_exactly_when_they_are_equal(shape: str, data: st.DataObject) -> None:
    row = st.fixed_dictionaries({name: _VALUES[form] for name, form in COLUMNS[shape]})
    values = data.draw(st.lists(row, min_size=1, max_size=6))
    batch = rows.batch(shape, values)

    found = hashes(batch, shape)

    held = batch.to_pylist()
    for number, one in enumerate(found):
        assert [one == other for other in found] == [held[number] == other for other in held]


@settings(max_examples=40)
@given(st.lists(st.lists(st.text("ab é東\n", max_size=20), max_size=4), min_size=1, max_size=9), st.integers(1, 4))
def test_hashes_and_signatures_do_not_depend_on_the_batch(conversations: list[list[str]], size: int) -> None:
    batch = rows.chats(*conversations)

    parts = list(rows.in_batches(batch, size))

    for make in (shingles.row_hashes, shingles.signatures):
        whole = make(batch, "messages")
        assert np.array_equal(whole, np.concatenate([make(part, "messages") for part in parts]))


def test_case_and_space_make_no_difference_to_likeness_but_to_equality() -> None:
    batch = rows.chats([LONG, "Yes."], [f"  {LONG.upper()}\n", "yes."])

    assert likeness(batch) == 1
    assert len(set(hashes(batch))) == 2


def test_one_word_changed_in_a_long_row_is_alike_and_other_rows_are_not() -> None:
    words = [f"w{number}" for number in range(300)]
    changed = [*words[:150], "other", *words[151:]]

    assert likeness(rows.texts(" ".join(words), " ".join(changed)), "text") > 0.9
    assert likeness(rows.texts(" ".join(words), " ".join(reversed(words))), "text") < 0.05


def test_short_rows_are_alike_only_when_their_words_are_the_same() -> None:
    assert likeness(rows.texts("dog bites man", "Dog  bites man"), "text") == 1
    assert likeness(rows.texts("dog bites man", "man bites dog"), "text") == 0
    assert likeness(rows.texts("a", "a a"), "text") == 0


def test_who_speaks_matters() -> None:
    batch = rows.batch(
        "messages",
        [{"messages": rows.turns("a b c", "d e f")}, {"messages": rows.turns("a b c", "d e f", first="assistant")}],
    )

    assert likeness(batch) < 0.2


def test_sides_of_a_preference_exchanged_are_another_row() -> None:
    pair = {"prompt": "q", "chosen": LONG, "rejected": LONG[::-1]}
    exchanged = {"prompt": "q", "chosen": LONG[::-1], "rejected": LONG}

    assert likeness(rows.batch("preference_text", [pair, pair]), "preference_text") == 1
    assert likeness(rows.batch("preference_text", [pair, exchanged]), "preference_text") < 0.2


def test_an_answer_with_the_other_label_is_another_row() -> None:
    answer = {"prompt": "q", "completion": LONG}
    batch = rows.batch("unpaired_text", [{**answer, "label": True}, {**answer, "label": False}])

    assert likeness(batch, "unpaired_text") < 0.2


def test_signatures_estimate_the_share_of_common_shingles() -> None:
    words = [f"w{number}" for number in range(1004)]
    half = [*words[:504], *(f"v{number}" for number in range(500))]

    # 500 of 1,500 distinct shingles are common, but for the few across the seam.
    assert likeness(rows.texts(" ".join(words), " ".join(half)), "text") == pytest.approx(1 / 3, abs=0.12)


def test_the_same_questions_in_two_files_are_found(shared_data: Path) -> None:
    first = [(row["question"], row["answer"]) for row in rows.lines(shared_data / "gsm8k" / "train.jsonl.gz")]
    content = json.loads(rows.unpacked(shared_data / "alpaca-format" / "gsm_8k_train.json.gz"))
    second = [(row["instruction"], row["output"]) for row in content]
    questions = rows.chats(*([question] for question, _ in first + second))

    found = duplicates.find(shingles.row_hashes(questions, "messages"), shingles.signatures(questions, "messages"), 0.9)

    again = found.of[len(first) :]
    assert (again >= 0).mean() > 0.99
    assert (found.of[: len(first)] >= 0).mean() < 0.01
