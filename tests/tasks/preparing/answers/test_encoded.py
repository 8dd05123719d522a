"""Where an answer begins, what closes it, and what is cut; expected values by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.models.tokenizer import load
from align_cli.tasks.preparing.answers.encoded import Answers, Closing, Limits, Ragged, cut, encode_answers
from align_cli.tasks.preparing.rendering import AnswersRendering
from tests.models.tiny import tiny_model


def answers(*rows: tuple[int, ...]) -> Answers:
    """Rows of (tokens of the prompt, tokens of each answer, …); a token's id is its place in its part."""
    parts = [Ragged.of([list(range(row[part])) for row in rows]) for part in range(len(rows[0]))]
    return Answers(parts[0], tuple(parts[1:]), np.zeros(len(rows), bool))


def lengths(made: Answers) -> list[tuple[int, ...]]:
    return list(zip(*(part.lengths.tolist() for part in (made.prompts, *made.sides)), strict=True))


def rows(part: Ragged) -> list[list[int]]:
    return [one.tolist() for one in np.split(part.ids, part.lengths.cumsum()[:-1])]


def test_an_answer_begins_after_what_the_prompt_and_all_wholes_share(model: Path) -> None:
    rendering = AnswersRendering(prompts=["ab", "ab"], wholes=(["abX", "aX"], ["abYZ", "abY"]))

    made = encode_answers(rendering, load(model), add_special_tokens=False, closing=Closing())

    decode = load(model).backend.decode
    assert [decode(row) for row in rows(made.prompts)] == ["ab", "a"]
    assert [decode(row) for row in rows(made.sides[0])] == ["X", "X"]
    assert [decode(row) for row in rows(made.sides[1])] == ["YZ", "bY"]
    assert made.parted.tolist() == [False, True]


def test_closing_adds_what_is_missing_and_nothing_twice(tmp_path: Path) -> None:
    tokenizer = load(tiny_model(tmp_path / "m", bos_token="<eos>"))
    bos, eos = tokenizer.id_of("<eos>"), tokenizer.id_of("<|im_end|>")
    rendering = AnswersRendering(prompts=["a", "<eos>a"], wholes=(["ab", "<eos>ab<|im_end|>"],))

    made = encode_answers(rendering, tokenizer, add_special_tokens=False, closing=Closing(bos, eos))

    assert [row[0] for row in rows(made.prompts)] == [bos, bos]
    assert lengths(made) == [(2, 2), (2, 2)]
    assert [row[-1] for row in rows(made.sides[0])] == [eos, eos]


@pytest.mark.parametrize(
    ("limits", "row", "expected", "first"),
    [
        # nothing is too long
        (Limits(10), (4, 6, 2), (4, 6, 2), 0),
        # the prompt stays, each answer is cut for itself
        (Limits(10), (4, 9, 7), (4, 6, 6), 0),
        # a prompt that fills everything leaves nothing of the answers
        (Limits(10), (12, 3, 2), (10, 0, 0), 0),
        # the prompt's beginning goes, and one token of it stays
        (Limits(10, None, True), (8, 6, 3), (4, 6, 3), 4),
        (Limits(10, None, True), (8, 20, 3), (1, 9, 3), 7),
        # trl up to 0.12: a long prompt whose answers fit is not cut, however long
        (Limits(10, 3, True), (7, 3, 2), (7, 3, 2), 0),
        # … it is cut to max_prompt_length when its longest answer does not fit beside it
        (Limits(10, 3, True), (7, 4, 2), (3, 4, 2), 4),
        (Limits(10, 3, False), (7, 4, 2), (3, 4, 2), 0),
        # … and then the answers to what is left of max_length
        (Limits(10, 3, True), (7, 9, 2), (3, 7, 2), 4),
        # … also for a prompt that was short enough
        (Limits(10, 3, True), (2, 9, 9), (2, 7, 7), 0),
        (Limits(None, 3, True), (7, 90, 2), (7, 90, 2), 0),
    ],
)
def test_what_is_too_long_is_cut_by_the_rule(limits: Limits, row: Any, expected: Any, first: int) -> None:
    made = cut(answers(row, (1, 1, 1)), limits)

    assert lengths(made) == [expected, (1, 1, 1)]
    assert rows(made.prompts)[0] == list(range(first, first + expected[0]))
    assert rows(made.sides[0])[0] == list(range(expected[1]))


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=8),
    st.integers(2, 25),
    st.one_of(st.none(), st.integers(1, 20)),
    st.booleans(),
)
def test_nothing_is_longer_than_max_length_and_short_rows_are_untouched(
    given_rows: list[tuple[int, int, int]], longest: int, prompt: int | None, keep_end: bool
) -> None:
    if prompt is not None and prompt >= longest:
        prompt = longest - 1

    made = cut(answers(*given_rows), Limits(longest, prompt, keep_end))

    for before, after in zip(given_rows, lengths(made), strict=True):
        assert after[0] + max(after[1:]) <= longest
        if before[0] + max(before[1:]) <= longest:
            assert after == before
