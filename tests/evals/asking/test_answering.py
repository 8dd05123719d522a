from __future__ import annotations

import threading

import pytest

from align_cli.errors import EndpointError
from align_cli.evals.answering import work
from align_cli.evals.asking.answering import answer
from align_cli.evals.asking.prices import Prices
from align_cli.evals.benchmark import Answer, Question
from tests.evals.asking.conftest import at, quick
from tests.evals.endpoint import Received, Reply, Server, error, said, serving

TWO = Question(id=81, category="writing", turns=("Write.", "Again."), temperature=0.7, max_new_tokens=32)
ONE = Question(id="q2", category="math", turns=("2 + 2?",))


def shout(received: Received) -> Reply:
    return said(f"{received.words.upper()}!", usage={"prompt_tokens": 7, "completion_tokens": 3})


def answers(server: Server, questions: list[Question], have: dict | None = None, **options) -> list[Answer]:
    found: list[Answer] = []
    options.setdefault("limits", quick())
    answer(at(server), questions, have or {}, on_answer=found.append, **options)
    return sorted(found, key=lambda one: (str(one.question_id), one.turn))


def test_a_second_turn_is_asked_with_the_model_s_own_first_answer() -> None:
    with serving(shout) as server:
        found = answers(server, [TWO], system="Be loud.", seed=3)

        assert [(one.turn, one.text, one.state) for one in found] == [(1, "WRITE.!", "ok"), (2, "AGAIN.!", "ok")]
        assert [(one.prompt_tokens, one.new_tokens) for one in found] == [(7, 3), (7, 3)]
        assert server.received[1].document == {
            "model": "judge",
            "messages": [
                {"role": "system", "content": "Be loud."},
                {"role": "user", "content": "Write."},
                {"role": "assistant", "content": "WRITE.!"},
                {"role": "user", "content": "Again."},
            ],
            "temperature": 0.7,
            "max_tokens": 32,
            "seed": 3,
        }


def test_questions_go_on_without_waiting_for_each_other() -> None:
    gate = threading.Event()

    def answered(received: Received) -> Reply:
        if received.words == "Again.":
            gate.set()
        slow = received.words == "2 + 2?"
        return Reply(**{**shout(received).__dict__, "until": gate if slow else None})

    with serving(answered) as server:
        found = answers(server, [ONE, TWO])

    assert len(found) == 3


def test_turns_that_are_there_are_not_asked_again() -> None:
    have = {81: [Answer(question_id=81, turn=1, text="before")], "q2": [Answer(question_id="q2", turn=1, text="4")]}

    with serving(shout) as server:
        found = answers(server, [TWO, ONE], have)

        assert [(one.question_id, one.turn) for one in found] == [(81, 2)]
        assert server.received[0].document["messages"][1] == {"role": "assistant", "content": "before"}


def test_a_failed_turn_is_asked_again_and_so_are_those_after_it() -> None:
    have = {81: [Answer(question_id=81, turn=1, text="", state="failed"), Answer(question_id=81, turn=2, text="x")]}

    with serving(shout) as server:
        assert [one.turn for one in answers(server, [TWO], have)] == [1, 2]


@pytest.mark.parametrize(
    ("reply", "state", "why"),
    [
        (said("half", finish="length"), "length", "cut at max_tokens"),
        (error(400, "no", code="content_filter"), "filtered", "HTTP 400: no"),
        (said(None, refusal="I will not."), "filtered", "the model refuses: I will not."),
        (
            error(400, "the prompt is too long", code="context_length_exceeded"),
            "too_long",
            "HTTP 400: the prompt is too long",
        ),
        (error(500, "broken"), "failed", "HTTP 500: broken; 2 attempts"),
    ],
)
def test_what_is_no_answer_is_a_state_and_ends_its_question(reply: Reply, state: str, why: str) -> None:
    with serving(lambda received: reply if received.words == "Write." else shout(received)) as server:
        found = answers(server, [TWO, ONE], limits=quick(attempts=2))

        first = next(one for one in found if (one.question_id, one.turn) == (81, 1))
        assert (first.state, first.why) == (state, why)
        assert any(one.turn == 2 for one in found) == first.is_one
        assert next(one for one in found if one.question_id == "q2").state == "ok"
        # what is left is what `work` says is left, when the same is asked for again
        by_question = {81: [one for one in found if one.question_id == 81], "q2": found[-1:]}
        assert bool(work([TWO, ONE], by_question).turns) == (state == "failed")


def test_a_wish_to_stop_is_no_error_and_keeps_what_comes() -> None:
    with serving(shout) as server:
        found: list[Answer] = []

        tally = answer(
            at(server),
            [TWO, ONE],
            {},
            on_answer=found.append,
            is_stopped=lambda: bool(found),
            limits=quick(in_flight=1),
        )

        assert tally is None
        assert len(found) == 1


def test_an_endpoint_s_end_is_the_end() -> None:
    with serving(key="another-key-0123") as server, pytest.raises(EndpointError):
        answers(server, [TWO])


def test_what_it_took_is_told() -> None:
    with serving(shout) as server:
        prices = Prices(prompt=1.0, completion=2.0, source="by hand")
        tally = answer(at(server), [TWO, ONE], {}, on_answer=lambda one: None, prices=prices, limits=quick())

        assert tally is not None
        assert (tally.states, tally.sent) == ({"ok": 3}, 3)
        assert tally.cost == pytest.approx(3 * (7 + 6) / 1e6)


def test_equal_questions_are_two_requests() -> None:
    twins = [Question(id=number, category="", turns=("Same?",)) for number in (1, 2)]

    with serving(shout) as server:
        assert len(answers(server, twins)) == 2
        assert len(server.asked) == 2
