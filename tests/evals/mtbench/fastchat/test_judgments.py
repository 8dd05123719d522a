"""Judgments in FastChat's files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import DataError
from align_cli.evals.benchmark import Ask, Verdict
from align_cli.evals.judgments import replied, unanswered
from align_cli.evals.mtbench.fastchat.judgments import pair_row_of, read_pair, read_single, single_row_of
from align_cli.evals.mtbench.games import matches
from tests.evals.mtbench.fastchat import rows


def read_one(tmp_path: Path, row: Any) -> Any:
    (found,) = read_single(rows.written(tmp_path / "gpt-4_single.jsonl", [row]))
    return found


def test_a_row_about_one_answer_is_a_judgment(tmp_path: Path) -> None:
    found = read_one(tmp_path, rows.single(81, 8.5, turn=2))

    assert (found.question_id, found.turn, found.game, found.models) == (81, 2, 1, ("a",))
    assert (found.judge, found.prompt) == ({"model": "gpt-4", "endpoint": ""}, "single-v1")
    assert (found.state, found.score, found.winner, found.why) == ("ok", 8.5, None, "")
    assert (found.text, found.shown, found.request) == ("Rating: [[8.5]]", "Rate it.", None)


@pytest.mark.parametrize(
    ("reply", "score", "state", "why"),
    [
        ("$ERROR$", -1, "failed", "FastChat got no reply from the judge"),
        ("Well.", -1, "unreadable", "the reply has no [[rating]]"),
        ("Rating: 8", -1, "unreadable", "the reply has no [[rating]]"),
        ("[[8]]", -1, "unreadable", "FastChat found no verdict, but the reply says 8"),
        ("[[9]] or [[10]]", 9, "ok", "FastChat's score of 9 is kept, but the reply has ratings that differ: 9, 10"),
        ("x[0]", 0, "ok", "FastChat's score of 0 is kept, but the rating is 0, which is not between 1 and 10"),
        ("[[8]]", 7, "ok", "FastChat's score of 7 is kept, but the reply says 8"),
    ],
)
def test_a_stored_score_is_kept_and_what_is_odd_about_it_is_said(
    tmp_path: Path, reply: str, score: int, state: str, why: str
) -> None:
    found = read_one(tmp_path, rows.single(81, score, judgment=reply))

    assert (found.state, found.why) == (state, why)
    assert found.score == (None if score == -1 else score)
    assert single_row_of(found) == rows.single(81, score, judgment=reply)


def test_a_row_about_two_answers_is_two_games(tmp_path: Path) -> None:
    first, second = read_pair(rows.written(tmp_path / "gpt-4_pair.jsonl", [rows.pair(81, "AC")]))

    assert (first.game, first.models, first.winner, first.shown) == (1, ("a", "b"), "a", "a, then b")
    assert (second.game, second.models, second.winner, second.shown) == (2, ("b", "a"), "tie", "b, then a")
    assert first.key != second.key


def test_a_stored_winner_is_kept_and_what_is_odd_about_it_is_said(tmp_path: Path) -> None:
    row = rows.pair(81, "AA", g1_judgment="[[B]] [[A]]", g2_judgment="$ERROR$", g2_winner="error")

    first, second = read_pair(rows.written(tmp_path / "gpt-4_pair.jsonl", [row]))

    why = "FastChat's winner a is kept, but the reply has verdicts that differ: [[B]], [[A]]"
    assert (first.state, first.winner, first.why) == ("ok", "a", why)
    assert (second.state, second.winner) == ("failed", None)


def test_an_old_row_about_two_answers_is_of_the_first_turn(tmp_path: Path) -> None:
    row = {name: value for name, value in rows.pair().items() if name != "turn"}

    assert {game.turn for game in read_pair(rows.written(tmp_path / "gpt-4_pair.jsonl", [row]))} == {1}


def test_equal_rows_stay_apart_and_a_file_read_again_has_equal_keys(tmp_path: Path) -> None:
    path = rows.written(tmp_path / "gpt-4_single.jsonl", [rows.single(), rows.single(), rows.single(82)])

    keys = [found.key for found in read_single(path)]

    assert len(set(keys)) == 3
    assert [found.key for found in read_single(path)] == keys


SINGLE = "gpt-4_single.jsonl"
PAIR = "gpt-4_pair.jsonl"


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        (SINGLE, rows.single(score="8"), '"score" is "8", not a number'),
        (SINGLE, rows.single(score=None), '"score" is missing'),
        (SINGLE, rows.single(judgment=None), '"judgment" is missing'),
        (SINGLE, rows.single(turn=1.5), '"turn" is 1.5, not a whole number'),
        (SINGLE, rows.single(judge="gpt-4"), '"judge" is "gpt-4", not a list'),
        (SINGLE, rows.single(judge=["gpt-4"]), '"judge" is not [model, prompt]'),
        (SINGLE, '{"score": NaN, "judgment": ""}', '"score" is NaN, not a number'),
        (PAIR, rows.pair(model_2="a"), '"model_1" and "model_2" are the same: "a"'),
        (PAIR, rows.pair(g2_winner="A"), '"g2_winner" is "A", not one of model_1, model_2, tie, error'),
        (PAIR, rows.pair(g1_judgment=["x"]), '"g1_judgment" is ["x"], not a text'),
    ],
)
def test_a_malformed_row_is_named_by_its_line(tmp_path: Path, name: str, row: Any, words: str) -> None:
    path = rows.written(tmp_path / name, [row])

    with pytest.raises(DataError) as refused:
        (read_pair if name == PAIR else read_single)(path)

    assert refused.value.message == f"{path}:1: {words}"


@pytest.mark.parametrize("name", rows.STORED)
def test_stored_judgments_are_read_and_written_again_to_the_byte(stored: Path, name: str) -> None:
    path = stored / "model_judgment" / name / "gpt-4_single.jsonl"

    found = read_single(path)

    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.dumps(single_row_of(one)) for one in found] == lines
    assert len({one.key for one in found}) == len(lines)


def test_stored_matches_are_read_and_written_again_to_the_byte(stored: Path) -> None:
    path = stored / "model_judgment" / "phi3_stefanstud" / "gpt-4_pair.jsonl"

    found = read_pair(path)

    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.dumps(pair_row_of(match)) for match in matches(found)] == lines
    assert [one.state for one in found].count("failed") == 3


ASK = Ask(
    question_id=81,
    turn=1,
    prompt="single-v1",
    models=("a",),
    messages=({"role": "system", "content": "Judge."}, {"role": "user", "content": "Rate it."}),
)
JUDGE = {"model": "gpt-4", "endpoint": "https://example.org/v1"}


def test_our_judgments_have_fastchats_fields_in_its_order() -> None:
    row = single_row_of(replied(ASK, JUDGE, Verdict(score=8), "Rating: [[8]]", tstamp=1700000000.25))

    assert row == rows.single()
    assert list(row) == list(rows.single())


def test_our_unreadable_and_failed_judgments_have_fastchats_score_for_that() -> None:
    unreadable = single_row_of(replied(ASK, JUDGE, Verdict(unreadable="ratings that differ"), "[[9]] [[10]]"))
    failed = single_row_of(unanswered(ASK, JUDGE, "failed", "the endpoint is gone"))

    assert (unreadable["score"], unreadable["judgment"]) == (-1, "[[9]] [[10]]")
    assert (failed["score"], failed["judgment"]) == (-1, "$ERROR$")


def test_a_match_with_one_game_is_written_as_an_error_which_counts_nowhere() -> None:
    second = replace(ASK, models=("b", "a"), prompt="pair-v2", game=2)

    (match,) = matches([replied(second, JUDGE, Verdict(winner="a"), "[[B]]")])
    row = pair_row_of(match)

    assert list(row) == list(rows.pair())
    assert (row["model_1"], row["model_2"], row["g1_winner"], row["g2_winner"]) == ("a", "b", "error", "model_1")
    assert row["g1_judgment"] == "$ERROR$"
