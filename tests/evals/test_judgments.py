"""Judgments as records."""

from __future__ import annotations

import json

from align_cli.evals.benchmark import Ask, Verdict
from align_cli.evals.judgments import Judgment, judgment_of, record_of, replied, unanswered

JUDGE = {"model": "gpt-4", "endpoint": "https://example.org/v1"}
ASK = Ask(
    question_id=81,
    turn=2,
    prompt="pair-v2",
    models=("b", "a"),
    messages=({"role": "system", "content": "Judge."}, {"role": "user", "content": "Which is better?"}),
    parameters={"temperature": 0},
    game=2,
)


def test_a_reply_that_counts_keeps_its_winner_and_its_words() -> None:
    judgment = replied(ASK, JUDGE, Verdict(winner="a"), "[[B]]", usage={"total_tokens": 9}, tstamp=1.5)

    assert (judgment.state, judgment.winner, judgment.text, judgment.why) == ("ok", "a", "[[B]]", "")
    assert judgment.key == ASK.key(JUDGE)
    assert judgment.is_pair


def test_a_reply_that_cannot_be_read_says_why_and_keeps_its_words() -> None:
    judgment = replied(ASK, JUDGE, Verdict(unreadable="it has no verdict"), "Both are fine.")

    assert (judgment.state, judgment.why, judgment.text) == ("unreadable", "it has no verdict", "Both are fine.")
    assert judgment.winner is None


def test_a_record_has_the_fields_that_readers_look_for_and_reads_back_equal() -> None:
    judgment = unanswered(ASK, JUDGE, "filtered", "the endpoint's filter", attempts=({"status": 503},), seconds=0.25)

    record = json.loads(json.dumps(record_of(judgment)))

    assert list(record) == [
        *("key", "question_id", "turn", "game", "models", "judge", "prompt", "reference", "request", "state", "why"),
        *("score", "winner", "text", "reply", "usage", "cost", "attempts", "seconds", "tstamp"),
    ]
    assert judgment_of(record) == judgment
    assert judgment.shown == "Which is better?"


def test_a_judgment_made_elsewhere_keeps_only_what_it_showed() -> None:
    judgment = Judgment(
        key="k", question_id=81, turn=1, models=("a",), judge=JUDGE, prompt="single-v1", user_prompt="Rate.", score=8
    )

    record = record_of(judgment)

    assert "request" not in record
    assert judgment_of(record) == judgment
    assert judgment.shown == "Rate."
