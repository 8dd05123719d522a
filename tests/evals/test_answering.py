"""Which answers are still to be made, and what they depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from align_cli.errors import DataError, UsageError
from align_cli.evals import answering, folder
from align_cli.evals.answering import Choice, Manner
from align_cli.evals.benchmark import Answer, Ask, Benchmark, Question, Verdict
from align_cli.evals.folder import Evaluation
from align_cli.evals.records import Journal

QUESTIONS = [
    Question(id=1, category="maths", turns=("one", "two")),
    Question(id=2, category="maths", turns=("one", "two"), temperature=0.7),
    Question(id="x", category="prose", turns=("one",), max_new_tokens=10),
]

BENCHMARK = Benchmark(
    name="small",
    summary="Three questions",
    questions=lambda assets: QUESTIONS,
    asks=lambda judging: (),
    read=lambda ask, text: Verdict(),
    judge="nobody",
)


def answer(question: int | str, turn: int, **known) -> Answer:
    return Answer(question_id=question, turn=turn, text=f"{question}.{turn}", **known)


def test_everything_is_missing_at_first():
    work = answering.work(QUESTIONS, {})

    assert [question.id for question in work.questions] == [1, 2, "x"]
    assert (work.turns, work.done) == (5, 0)
    assert work.have == {}


def test_a_question_goes_on_after_the_turns_that_are_there():
    work = answering.work(QUESTIONS, {1: [answer(1, 1)], "x": [answer("x", 1)]})

    assert [question.id for question in work.questions] == [1, 2]
    assert work.have == {1: [answer(1, 1)]}
    assert (work.turns, work.done) == (3, 2)


def test_a_turn_that_failed_is_made_again_with_those_after_it():
    had = [answer(1, 1, state="failed"), answer(1, 2)]

    work = answering.work(QUESTIONS[:1], {1: had})

    assert (work.turns, work.done) == (2, 0)
    assert work.have == {}


@pytest.mark.parametrize("state", ["too_long", "filtered"])
def test_a_question_ends_where_an_answer_cannot_be(state):
    work = answering.work(QUESTIONS[:1], {1: [answer(1, 1, state=state)]})

    assert work.questions == []
    assert (work.turns, work.done) == (0, 1)


def test_an_answer_that_was_cut_is_one():
    work = answering.work(QUESTIONS[:1], {1: [answer(1, 1, state="length")]})

    assert work.turns == 1


def test_first_takes_so_many_of_each_category():
    assert [question.id for question in Choice(first=1).of(QUESTIONS)] == [1, "x"]
    assert [question.id for question in Choice(categories=("maths",)).of(QUESTIONS)] == [1, 2]


def test_the_command_line_stands_for_the_benchmarks_own_values():
    questions = answering.in_manner(QUESTIONS, Manner(temperature=0.3, max_new_tokens=5))

    assert {question.temperature for question in questions} == {0.3}
    assert {question.max_new_tokens for question in questions} == {5}
    assert answering.in_manner(QUESTIONS, Manner()) == QUESTIONS


def test_answers_come_back_as_they_were_kept(tmp_path):
    journal = Journal(tmp_path / folder.ANSWERS)
    keep = answering.keep(journal)

    keep(answer("x", 1, state="length", why="cut", new_tokens=10, near_ties=2, tstamp=5.0))
    keep(answer(1, 1, tstamp=6.0))
    keep(answer(1, 2, tstamp=7.0))
    journal.close()

    found = Evaluation(tmp_path).answers()
    assert list(found) == ["x", 1]
    assert found["x"] == [answer("x", 1, state="length", why="cut", new_tokens=10, near_ties=2, tstamp=5.0)]
    assert [one.turn for one in found[1]] == [1, 2]


def test_an_answer_is_on_the_disk_before_anybody_hears_of_it(tmp_path):
    journal = Journal(tmp_path / folder.ANSWERS)
    seen = []
    keep = answering.keep(journal, lambda one: seen.append(Evaluation(tmp_path).answers()[1][0].text))

    keep(answer(1, 1))

    assert seen == ["1.1"]


def facts(manner: Manner, **model) -> dict:
    known = {"name": "m", "base": {"digest": "d"}, **model}
    return answering.facts(BENCHMARK, known, manner, answering.in_manner(QUESTIONS, manner))


def test_answers_made_otherwise_are_refused_with_every_difference(tmp_path):
    Evaluation(tmp_path).begin(facts(Manner()))
    answering.keep(Journal(tmp_path / folder.ANSWERS))(answer(1, 1))

    with pytest.raises(UsageError, match="made otherwise") as refused:
        Evaluation(tmp_path).begin(facts(Manner(seed=1, temperature=0.5), base={"digest": "e"}))

    places = [problem.where for problem in refused.value.problems]
    assert places == ["model.base.digest", "manner.seed", "manner.temperature"]
    assert "--output-dir" in refused.value.hint


def test_the_same_manner_goes_on_under_another_name(tmp_path):
    Evaluation(tmp_path).begin(facts(Manner()))
    answering.keep(Journal(tmp_path / folder.ANSWERS))(answer(1, 1))

    Evaluation(tmp_path).begin({**facts(Manner(), name="other"), "versions": {"torch": "9"}})

    assert Evaluation(tmp_path).model == "m"


def test_an_evaluation_of_another_version_is_refused(tmp_path):
    (tmp_path / folder.FACTS).write_text('{"format": 99}')

    with pytest.raises(DataError, match="another version"):
        _ = Evaluation(tmp_path).facts


def test_no_evaluation_is_said(tmp_path: Path):
    with pytest.raises(UsageError, match="no evaluation here"):
        folder.of(tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("org/model", "org-model"), ("a b/../c", "a-b-..-c"), ("///", "model"), ("SmolLM2-135M", "SmolLM2-135M")],
)
def test_a_models_name_becomes_a_folders_name(name, expected):
    assert folder.slug(name) == expected


def test_the_key_of_an_ask_is_everything_that_makes_the_reply():
    ask = Ask(
        question_id=1, turn=1, prompt="p", models=("m",), messages=({"role": "user", "content": "q"},),
        parameters={"temperature": 0},
    )  # fmt: skip
    judge = {"model": "gpt-4", "endpoint": "https://api.openai.com/v1"}
    changed = [
        replace(ask, messages=({"role": "user", "content": "r"},)),
        replace(ask, parameters={"temperature": 1}),
    ]

    keys = {ask.key(judge), ask.key({**judge, "endpoint": "http://localhost"}), *(one.key(judge) for one in changed)}

    assert len(keys) == 4
    assert replace(ask, prompt="renamed").key(judge) == ask.key(judge)
