"""How long the rest will take."""

from __future__ import annotations

import pytest

from align_cli.evals.benchmark import Answer, Question
from align_cli.evals.generate import moments
from align_cli.evals.generate.moments import Clock
from align_cli.evals.generate.talks import Talk


@pytest.fixture
def now(monkeypatch):
    """A clock that is set by hand."""

    class Hand:
        seconds = 0.0

    monkeypatch.setattr(moments.time, "monotonic", lambda: Hand.seconds)
    return Hand


def talks(*turns, room=100):
    return [
        Talk(question=Question(id=number, category="", turns=("x",) * count, max_new_tokens=room), system=None)
        for number, count in enumerate(turns)
    ]


def answer(state="ok", turn=1):
    return Answer(question_id=0, turn=turn, text="", state=state)


def test_nothing_is_promised_while_prompts_are_read(now):
    clock = Clock(talks(1, 1))

    now.seconds = 5
    clock.tick(1, begins=True)

    assert clock.moment([(99, 100)]).seconds_left is None


def test_answers_are_taken_as_long_as_they_may_be_until_one_has_ended(now):
    clock = Clock(talks(1, 1, 1))
    clock.tick(2, begins=True)

    now.seconds = 10
    clock.tick(20)

    # 20 tokens in 10 s; two rows may have 89 more each, the third question 100.
    moment = clock.moment([(89, 100), (89, 100)])
    assert moment.tokens_per_second == pytest.approx(2.0)
    assert moment.seconds_left == pytest.approx((89 + 89 + 100) / 2)
    assert (moment.turns_done, moment.turns, moment.rows, moment.tokens) == (0, 3, 2, 22)


def test_an_answer_that_ended_says_how_long_others_will_be(now):
    first, *rest = talks(1, 1, room=2)
    clock = Clock([first, *rest])

    now.seconds = 1
    clock.tick(4)
    clock.count(first, answer())

    # One end in 4 tokens: of 2 that it may have, an answer gets 1 + 3/4.
    assert clock.moment([]).seconds_left == pytest.approx(1.75 / 4)


def test_answers_that_were_cut_are_no_ends(now):
    one, two = talks(1, 1)
    clock = Clock([one, two])

    now.seconds = 1
    clock.tick(50)
    clock.count(one, answer("length"))

    assert clock.moment([]).seconds_left == pytest.approx(100 / 50)


def test_turns_that_cannot_be_asked_are_not_waited_for(now):
    (talk,) = talks(3)
    clock = Clock([talk])

    now.seconds = 1
    clock.tick(10)
    clock.count(talk, answer("too_long"))

    moment = clock.moment([])
    assert (moment.turns_done, moment.turns, moment.seconds_left) == (1, 1, 0)


def test_speed_is_that_of_the_last_half_minute(now):
    clock = Clock(talks(1))

    for second in range(100):
        now.seconds = second
        clock.tick(1 if second < 50 else 10)

    assert clock.moment([]).tokens_per_second == pytest.approx(10.0)
