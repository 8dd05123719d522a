"""A judge's reply becomes a score from 0, the reference's answer is better, to 100, the model's is."""

from __future__ import annotations

import math
from typing import Any

import pytest

from align_cli.evals.alpacaeval.verdicts import read_probabilities, read_ranking
from align_cli.evals.benchmark import Ask


def ask(game: int = 1) -> Ask:
    return Ask(question_id="q", turn=1, prompt="p", models=("m",), messages=(), game=game)


def reply(**logprobs: float) -> dict[str, Any]:
    top = [{"token": token, "logprob": value} for token, value in logprobs.items()]
    return {"choices": [{"message": {"content": "m"}, "logprobs": {"content": [{"top_logprobs": top}]}}]}


def test_the_originals_stored_probabilities_give_its_stored_preferences(annotations):
    judged = [row for rows in annotations.values() for row in rows if row["preference"] and "raw_completion" in row]
    compared = 0
    for row in judged:
        if not (row["raw_completion"] or {}).get("logprobs") or row["preference"] in (1.5, 0):
            continue
        verdict = read_probabilities(ask(game=2 if row["is_switched"] else 1), {"choices": [row["raw_completion"]]})
        assert verdict.score is not None
        assert verdict.score / 100 + 1 == pytest.approx(row["preference"], abs=1e-9)
        compared += 1
    assert compared > 500


def test_m_is_the_answer_shown_first():
    likely_first = reply(m=math.log(0.9), M=math.log(0.1))

    assert read_probabilities(ask(game=1), likely_first).score == pytest.approx(10)  # the reference's
    assert read_probabilities(ask(game=2), likely_first).score == pytest.approx(90)  # the model's


def test_a_name_that_is_not_among_the_likeliest_is_impossible():
    assert read_probabilities(ask(), reply(M=-0.01, The=-5.0)).score == 100
    assert read_probabilities(ask(), reply(m=-3.0, Both=-0.01)).score == 0


def test_only_the_two_names_count():
    assert read_probabilities(ask(), reply(m=math.log(0.2), M=math.log(0.2), The=math.log(0.6))).score == 50


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"choices": []},
        {"choices": [{"logprobs": None}]},
        {"choices": [{"logprobs": {"content": []}}]},
        {"choices": [{"logprobs": {"content": [{"top_logprobs": []}]}}]},
        {"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": "m"}]}]}}]},
        {"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": "m", "logprob": "x"}]}]}}]},
    ],
)
def test_a_reply_without_probabilities_is_unreadable_and_says_so(document):
    verdict = read_probabilities(ask(), document)

    assert verdict.score is None
    assert "logprobs" in verdict.unreadable


@pytest.mark.parametrize("logprobs", [{"m": math.nan, "M": -1.0}, {"m": math.inf, "M": -1.0}, {"m": -1.0, "M": 0.5}])
def test_a_probability_that_cannot_be_is_unreadable(logprobs):
    verdict = read_probabilities(ask(), reply(**logprobs))

    assert verdict.score is None
    assert "cannot be" in verdict.unreadable


def test_very_small_probabilities_are_compared():
    assert read_probabilities(ask(), reply(m=-2000.0, M=-2001.0)).score == pytest.approx(100 / (1 + math.e))
    assert read_probabilities(ask(), reply(m=-9000.0, M=-1.0)).score == pytest.approx(100)


def test_neither_name_among_the_likeliest_is_unreadable():
    verdict = read_probabilities(ask(), reply(The=-0.1, Both=-3.0))

    assert verdict.score is None
    assert "'The'" in verdict.unreadable


RANKED = "[{'model': 'model_1', 'rank': 2}, {'model': 'model_2', 'rank': 1}]"


@pytest.mark.parametrize(("game", "score"), [(1, 100.0), (2, 0.0)])
def test_a_ranking_says_which_answer_is_first(game, score):
    assert read_ranking(ask(game), RANKED).score == score


@pytest.mark.parametrize("text", [f"```python\n{RANKED}\n```", f"Here is the list: {RANKED}. Done", f"  {RANKED}\n"])
def test_words_around_the_list_do_no_harm(text):
    assert read_ranking(ask(), text).score == 100.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model_1 is better",
        "[{'model': 'model_1', 'rank': 3}, {'model': 'model_2', 'rank': 1}]",
        "[{'model': 'model_2', 'rank': 1}]",
        "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 1}]",
        "[1, 2]",
        "__import__('os').system('true')",
        "[" * 5000,
        "[{'model': 'model_1', 'rank': [1]}]",
        "{'model': 'model_1', 'rank': 1}",
    ],
)
def test_anything_else_is_unreadable(text):
    verdict = read_ranking(ask(), text)

    assert verdict.score is None
    assert verdict.unreadable
