"""How a judge's reply is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.evals.benchmark import Ask, Verdict
from align_cli.evals.mtbench import read
from align_cli.evals.mtbench.verdicts import score_in, winner_in

ONE = Ask(question_id=81, turn=1, prompt="single-v1", models=("a",), messages=())
TWO = Ask(question_id=81, turn=1, prompt="pair-v2", models=("a", "b"), messages=(), game=1)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Good. Rating: [[8]]", 8),
        ("Rating: [[8.5]]", 8.5),
        ("Rating: [[10]]", 10),
        ("Rating: [[1]]", 1),
        ("Rating: [[9.]]", 9),
        ("As I said, [[7]]. So: [[7]]", 7),
        ("Rating: [6]", 6),
        ("As source [2] says: [[5]]", 5),
    ],
)
def test_a_rating_in_brackets_is_the_score(text: str, score: float) -> None:
    assert read(ONE, text) == Verdict(score=score)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the reply has no [[rating]]"),
        ("$ERROR$", "the reply has no [[rating]]"),
        ("Rating: 8", "the reply has no [[rating]]"),
        ("Rating: [[8/10]]", "the reply has no [[rating]]"),
        ("Rating: [[-1]]", "the reply has no [[rating]]"),
        ("[[rating]]", "the reply has no [[rating]]"),
        ("Rating: [[0]]", "the rating is 0, which is not between 1 and 10"),
        ("Rating: [[11]]", "the rating is 11, which is not between 1 and 10"),
        ("Rating: [[0.5]]", "the rating is 0.5, which is not between 1 and 10"),
        ("first [[9]], better: [[10]]", "the reply has ratings that differ: 9, 10"),
        ("[1] and [2] agree", "the reply has ratings that differ: 1, 2"),
        ("[[1]][[2]][[3]][[4]][[5]][[6]]", "the reply has ratings that differ: 1, 2, 3, 4, 5, …"),
    ],
)
def test_a_rating_that_cannot_be_told_is_explained_and_never_a_number(text: str, why: str) -> None:
    assert read(ONE, text) == Verdict(unreadable=why)


@pytest.mark.parametrize(
    ("text", "winner"), [("[[A]]", "a"), ("so [[B]].", "b"), ("[[C]]", "tie"), ("[[A]] [[A]]", "a")]
)
def test_a_letter_is_the_model_shown_in_its_place(text: str, winner: str) -> None:
    assert read(TWO, text) == Verdict(winner=winner)


def test_in_the_second_game_the_letters_stand_for_the_other_models() -> None:
    swapped = Ask(question_id=81, turn=1, prompt="pair-v2", models=("b", "a"), messages=(), game=2)

    assert read(swapped, "[[A]]") == Verdict(winner="b")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the reply has no [[A]], [[B]] or [[C]]"),
        ("[A] is better", "the reply has no [[A]], [[B]] or [[C]]"),
        ("[[a]]", "the reply has no [[A]], [[B]] or [[C]]"),
        ("[[B]], no, [[A]]", "the reply has verdicts that differ: [[B]], [[A]]"),
    ],
)
def test_a_winner_that_cannot_be_told_is_explained(text: str, why: str) -> None:
    assert read(TWO, text) == Verdict(unreadable=why)


@given(st.text() | st.text(alphabet="[]0123456789.ABC"))
def test_any_text_is_read(text: str) -> None:
    for ask in (ONE, TWO):
        verdict = read(ask, text)
        counts = verdict.score is not None or verdict.winner is not None
        assert counts is not bool(verdict.unreadable)
        assert verdict.score is None or 1 <= verdict.score <= 10


def test_a_number_as_long_as_a_reply_is_read_too() -> None:
    assert "not between" in read(ONE, f"[[{'9' * 10_000}]]").unreadable
    assert read(ONE, "[[" + "9" * 100_000).unreadable


def stored_replies(folder: Path) -> list[tuple[str, float]]:
    lines = (folder / "gpt-4_single.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["judgment"], row["score"]) for row in map(json.loads, lines)]


@pytest.mark.parametrize(
    ("name", "number"), [("mamba_zephyr_jxiw", 960), ("phi3_stefanstud", 160), ("llama3_dreamingpanda", 330)]
)
def test_gpt_4s_stored_replies_read_as_fastchat_read_them(stored: Path, name: str, number: int) -> None:
    replies = stored_replies(stored / "model_judgment" / name)

    ours = [score_in(text).score for text, _ in replies]

    assert len(replies) == number
    assert ours == [None if score == -1 else score for _, score in replies]


def test_of_a_failing_judges_replies_those_are_unreadable_that_fastchat_took_the_first_number_of(stored: Path) -> None:
    replies = stored_replies(stored / "model_judgment" / "granite_instructlab")

    otherwise = [
        (score, score_in(text).unreadable)
        for text, score in replies
        if score_in(text).score != (None if score == -1 else score)
    ]

    assert sorted(otherwise) == [
        (0, "the rating is 0, which is not between 1 and 10"),
        (0, "the rating is 0, which is not between 1 and 10"),
        (8, "the reply has ratings that differ: 8, 9, 10"),
        (9, "the reply has ratings that differ: 9, 10"),
        (9, "the reply has ratings that differ: 9, 10"),
    ]


def test_stored_replies_about_pairs_read_as_fastchat_read_them(stored: Path) -> None:
    path = stored / "model_judgment" / "phi3_stefanstud" / "gpt-4_pair.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    for row in rows:
        for game, models in (1, ("model_1", "model_2")), (2, ("model_2", "model_1")):
            assert (winner_in(row[f"g{game}_judgment"], models).winner or "error") == row[f"g{game}_winner"]
    assert len(rows) == 75
