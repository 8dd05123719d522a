from __future__ import annotations

from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.leaks import leaks_of
from tests.evals.arena.building import battle, said


def between(answer_a: str, answer_b: str = "Yes.", *, asked: str = "Who are you?", **names: str) -> Battle:
    return battle(**{"a": "one", "b": "two", **names}, turns_a=said(asked, answer_a), turns_b=said(asked, answer_b))


def test_an_answer_that_names_its_maker_is_a_leak() -> None:
    told, quiet = between("I am ChatGPT, made by OpenAI."), between("I am an assistant.")

    found = leaks_of([told, quiet])

    assert found.battles == {told.id}
    assert found.by_model == {"one": 1}
    assert found.words == {"chatgpt": 1, "openai": 1}


def test_a_name_that_the_person_used_is_none() -> None:
    assert not leaks_of([between("A llama is an animal.", asked="What is a llama?")]).battles


def test_a_name_inside_a_word_is_none() -> None:
    assert not leaks_of([between("Regrokking bardic claudes.")]).battles


def test_models_own_names_are_told_too_but_plain_words_are_not() -> None:
    told = between("I am Mercury!", b="org/mercury-7b-instruct-sft", a="org/base-model")
    quiet = between("I instruct the base model.", b="org/mercury-7b-instruct-sft", a="org/base-model")

    assert leaks_of([told, quiet]).battles == {told.id}


def test_either_answer_may_tell() -> None:
    assert leaks_of([between("No.", "As Qwen, yes.")]).by_model == {"two": 1}


def test_battles_without_answers_tell_nothing() -> None:
    assert not leaks_of([battle()]).battles
