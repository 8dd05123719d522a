"""Rows of annotations as judgments."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from align_cli.evals.alpacaeval.evaluation_set import id_of
from align_cli.evals.alpacaeval.original.annotations import judgment_of, row_of
from align_cli.evals.alpacaeval.versions import VERSION_1, VERSION_2
from tests.evals.alpacaeval.original.rows import ANNOTATOR, PLAIN, REFERENCE, SWITCHED, annotation, choice


def test_a_row_says_who_judged_what_beside_which_answer() -> None:
    found = judgment_of(VERSION_2, annotation())

    assert (found.question_id, found.turn, found.models, found.reference) == (id_of(PLAIN), 1, ("m",), REFERENCE)
    assert (found.judge, found.prompt) == ({"model": "gpt-4-1106-preview", "endpoint": ""}, "alpaca_eval_clf")
    assert (found.state, found.score, found.why) == ("ok", 75.0, "")


@pytest.mark.parametrize(
    ("version", "annotator", "judge", "prompt"),
    [
        (VERSION_1, "alpaca_eval_gpt4", "gpt-4", "alpaca_eval"),
        (VERSION_2, "alpaca_eval_gpt4", "alpaca_eval_gpt4", "alpaca_eval_gpt4"),
        (VERSION_1, ANNOTATOR, ANNOTATOR, ANNOTATOR),
    ],
)
def test_another_annotator_is_a_judge_and_a_prompt_of_its_name(
    version: Any, annotator: str, judge: str, prompt: str
) -> None:
    found = judgment_of(version, annotation(annotator=annotator))

    assert (found.judge["model"], found.prompt) == (judge, prompt)


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (None, "alpaca_eval found no verdict"),
        (math.nan, "alpaca_eval found no verdict"),
        (-1, "the stored preference is -1, not from 1 to 2"),
        (2.5, "the stored preference is 2.5, not from 1 to 2"),
        ("2", "the stored preference is '2', not from 1 to 2"),
    ],
)
def test_what_is_no_preference_is_no_verdict(stored: Any, why: str) -> None:
    found = judgment_of(VERSION_2, annotation(preference=stored))

    assert (found.state, found.score, found.why) == ("unreadable", None, why)


@pytest.mark.parametrize("stored", [1.5, 0, 0.0])
def test_draws_of_all_ages_are_draws(stored: float) -> None:
    assert judgment_of(VERSION_2, annotation(preference=stored)).score == 50.0


@pytest.mark.parametrize(
    ("instruction", "others", "game"),
    [(PLAIN, {}, 1), (SWITCHED, {}, 2), (PLAIN, {"is_switched": True}, 2), (SWITCHED, {"is_switched": False}, 1)],
)
def test_the_order_shown_is_the_rows_or_the_one_that_is_drawn(
    instruction: str, others: dict[str, Any], game: int
) -> None:
    assert judgment_of(VERSION_2, annotation(instruction, **others)).game == game


@pytest.mark.parametrize("before", ["", "preference_"])
def test_the_reply_its_price_and_its_time_are_kept(before: str) -> None:
    others: dict[str, Any] = {"price_per_example": 0.02, "time_per_example": 0.5, "raw_completion": choice(0.25)}

    found = judgment_of(VERSION_2, annotation(**{before + name: value for name, value in others.items()}))

    assert (found.cost, found.seconds, found.text) == (0.02, 0.5, "m")
    assert found.reply == {"choices": [choice(0.25)]}
    assert found.why == ""


@pytest.mark.parametrize("raw", [None, "", [], 7, {}, {"text": 7}, {"message": None}, {"logprobs": {"content": 1}}])
def test_any_stored_reply_can_be_taken(raw: Any) -> None:
    found = judgment_of(VERSION_2, annotation(raw_completion=raw))

    assert (found.state, found.score, found.text) == ("ok", 75.0, "")


def test_a_preference_that_the_reply_denies_is_kept_and_said() -> None:
    found = judgment_of(VERSION_2, annotation(preference=1.25, raw_completion=choice(0.25)))

    assert (found.state, found.score) == ("ok", 25.0)
    assert found.why == "the stored preference of 1.250000 is kept, but its token probabilities say 1.750000"


def test_a_preference_of_a_longer_reply_is_not_held_against_its_first_token() -> None:
    raw = choice(0.25)
    raw["logprobs"]["content"] *= 2

    assert judgment_of(VERSION_2, annotation(preference=1.25, raw_completion=raw)).why == ""


def test_the_probabilities_stored_beside_preferences_give_them_again(synth: Path) -> None:
    rows = json.loads((synth / "annotations_model_long.json").read_text())

    judgments = [judgment_of(VERSION_2, row) for row in rows]

    assert len(judgments) == 200
    assert all(one.reply and not one.why for one in judgments)
    assert {one.game for one in judgments} == {1, 2}


@pytest.mark.parametrize("instruction", [PLAIN, SWITCHED])
@pytest.mark.parametrize("others", [{}, {"is_switched": True}, {"is_switched": False}])
def test_a_row_goes_through_a_judgment_without_loss(instruction: str, others: dict[str, Any]) -> None:
    reply: dict[str, Any] = {"price_per_example": 0.02, "time_per_example": 0.5, "raw_completion": choice(0.5)}
    row = annotation(instruction, 1.5, **reply, **others)
    first = judgment_of(VERSION_2, row)

    again = row_of(first, instruction=instruction, dataset="koala", outputs=("theirs", "ours"), annotator=ANNOTATOR)

    assert {**again, **others} == row
    assert list(again)[:11] == [name for name in row if name != "is_switched"]
    assert judgment_of(VERSION_2, again).game == first.game


@pytest.mark.parametrize("state", ["unreadable", "failed", "refused", "filtered", "too_long"])
def test_a_judgment_without_a_verdict_is_a_row_without_a_preference(state: Any) -> None:
    one = replace(judgment_of(VERSION_2, annotation()), state=state, score=None)

    row = row_of(one, instruction=PLAIN, dataset="", outputs=("theirs", "ours"), annotator=ANNOTATOR)

    assert (row["preference"], row["raw_completion"]) == (None, None)
