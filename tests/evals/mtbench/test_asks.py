"""What a judge of MT-Bench is sent: what FastChat sent, to the byte."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import UsageError
from align_cli.evals.benchmark import Answer, Answers, Ask, Assets, Judging, Mode, Question
from align_cli.evals.mtbench import asks
from align_cli.evals.mtbench.fastchat.answers import read_answers
from align_cli.evals.mtbench.prompts import name_of, prompts, references_of, with_references

SETS = ("mamba_zephyr_jxiw", "phi3_stefanstud")


def stored_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def stored_answers(folder: Path) -> dict[str, Answers]:
    files = [read_answers(path) for path in sorted(folder.glob("answers_*.jsonl"))]
    return {file.model: file.answers for file in files}


def said(question: Question, *texts: str, **others: Any) -> list[Answer]:
    return [Answer(question_id=question.id, turn=turn, text=text, **others) for turn, text in enumerate(texts, 1)]


@pytest.fixture
def judging(mtbench_questions: Sequence[Question], mtbench_assets: Assets) -> Judging:
    """Three models, a writing and a maths question."""
    questions = [mtbench_questions[0], mtbench_questions[30]]
    answers = {
        model: {one.id: said(one, f"{model}'s first", f"{model}'s second") for one in questions} for model in "abc"
    }
    return Judging(mode="single", questions=questions, answers=answers, assets=mtbench_assets)


def asked(judging: Judging, **others: Any) -> list[Ask]:
    return list(asks(replace(judging, **others)))


def test_stored_prompts_about_one_answer_are_rendered_again_to_the_byte(
    stored: Path, mtbench_questions: Sequence[Question], mtbench_assets: Assets
) -> None:
    number = 0
    for name in SETS:
        folder = stored / "model_judgment" / name
        judging = Judging(
            mode="single", questions=mtbench_questions, answers=stored_answers(folder), assets=mtbench_assets
        )
        ours = {(ask.question_id, ask.turn, ask.models[0]): ask for ask in asks(judging)}
        for row in stored_rows(folder / "gpt-4_single.jsonl"):
            ask = ours[row["question_id"], row["turn"], row["model"]]
            assert (ask.messages[1]["content"], ask.prompt) == (row["user_prompt"], row["judge"][1])
            number += 1

    assert number == 1120


def test_stored_prompts_about_pairs_are_rendered_again_to_the_byte(
    stored: Path, mtbench_questions: Sequence[Question], mtbench_assets: Assets
) -> None:
    folder = stored / "model_judgment" / "phi3_stefanstud"
    judging = Judging(
        mode="pairwise-baseline",
        baseline="phi-3-dpo",
        questions=mtbench_questions,
        answers=stored_answers(folder),
        assets=mtbench_assets,
    )

    ours = {(ask.question_id, ask.turn, ask.game): ask for ask in asks(judging)}

    rows = stored_rows(folder / "gpt-4_pair.jsonl")
    assert len(rows) == 75
    for row in rows:
        for game in (1, 2):
            ask = ours[row["question_id"], row["turn"], game]
            assert (ask.messages[1]["content"], ask.prompt) == (row[f"g{game}_user_prompt"], row["judge"][1])
        assert ours[row["question_id"], row["turn"], 1].models == (row["model_1"], row["model_2"])


def test_prompts_have_the_names_that_stored_judgments_give(stored: Path, mtbench_questions: Sequence[Question]) -> None:
    questions = {question.id: question for question in mtbench_questions}

    rows = [
        row
        for pattern, pairs in (("*_single.jsonl", False), ("*_pair.jsonl", True))
        for path in (stored / "model_judgment").rglob(pattern)
        for row in stored_rows(path)
        if name_of(questions[row["question_id"]], row["turn"], pairs=pairs) == row["judge"][1]
    ]

    assert len(rows) == 960 + 160 + 330 + 160 + 75


def test_every_prompt_that_can_be_named_is_in_the_file_and_has_its_placeholders_filled(
    mtbench_questions: Sequence[Question], mtbench_assets: Assets, judging: Judging
) -> None:
    modes: tuple[Mode, ...] = ("single", "pairwise-all")
    made = [ask for mode in modes for ask in asked(judging, mode=mode)]

    assert {ask.prompt for ask in made} == set(prompts(mtbench_assets))


def test_a_request_is_a_system_and_a_user_message_at_temperature_zero(judging: Judging) -> None:
    first, *_, last = asked(judging)

    assert [message["role"] for message in first.messages] == ["system", "user"]
    assert first.messages[0]["content"] == "You are a helpful assistant."
    assert last.messages[0]["content"].endswith('"Rating: [[5]]".\n\n')
    assert dict(first.parameters) == {"temperature": 0, "max_tokens": 2048}


def test_every_model_is_asked_about_once_a_turn_and_the_first_turns_come_first(judging: Judging) -> None:
    made = asked(judging)

    assert [(ask.turn, ask.question_id, ask.models) for ask in made] == [
        (turn, question, (model,)) for turn in (1, 2) for question in (81, 111) for model in "abc"
    ]
    assert {ask.game for ask in made} == {1}


def shown(made: Sequence[Ask]) -> Iterator[tuple[tuple[str, ...], int]]:
    return ((ask.models, ask.game) for ask in made if (ask.question_id, ask.turn) == (81, 2))


def test_each_model_meets_the_baseline_in_both_orders(judging: Judging) -> None:
    made = asked(judging, mode="pairwise-baseline", baseline="b")

    assert list(shown(made)) == [(("a", "b"), 1), (("b", "a"), 2), (("c", "b"), 1), (("b", "c"), 2)]
    first, second = (ask.messages[1]["content"] for ask in made[:2])
    assert first.index("a's first") < first.index("b's first")
    assert second.index("b's first") < second.index("a's first")


def test_every_two_models_meet_in_both_orders(judging: Judging) -> None:
    made = asked(judging, mode="pairwise-all")

    assert [models for models, game in shown(made) if game == 1] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [models for models, game in shown(made) if game == 2] == [("b", "a"), ("c", "a"), ("c", "b")]


def test_games_that_are_there_are_not_played_again_when_the_models_come_in_another_order(judging: Judging) -> None:
    judge = {"model": "gpt-4", "endpoint": ""}
    turned = dict(reversed(judging.answers.items()))

    keys = {ask.key(judge) for ask in asked(judging, mode="pairwise-all")}

    assert {ask.key(judge) for ask in asked(judging, mode="pairwise-all", answers=turned)} == keys


@pytest.mark.parametrize(("baseline", "words"), [(None, "no baseline"), ("d", 'baseline "d" is none')])
def test_a_baseline_that_is_not_among_the_models_is_refused(judging: Judging, baseline: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        asked(judging, mode="pairwise-baseline", baseline=baseline)


def test_nothing_is_asked_about_answers_that_are_none(judging: Judging) -> None:
    first, second = judging.questions
    answers: Mapping[str, Answers] = {
        "unfinished": {first.id: said(first, "only this")},
        "failed at first": {second.id: [*said(second, "", state="failed"), *said(second, "x", "then well")[1:]]},
        "cut": {first.id: said(first, "one", "two", state="length")},
        "silent": {first.id: said(first, "", "")},
    }

    made = asked(judging, answers=answers)

    assert [(ask.models[0], ask.turn) for ask in made] == [
        *(("unfinished", 1), ("cut", 1), ("silent", 1), ("cut", 2), ("silent", 2)),
    ]


def test_answers_are_shown_as_they_are_braces_and_all(judging: Judging) -> None:
    first = judging.questions[0]
    answers = {"a": {first.id: said(first, "{question} {0} {{x}}")}}

    (ask,) = asked(judging, answers=answers)

    assert "[The Start of Assistant's Answer]\n{question} {0} {{x}}\n[The End" in ask.messages[1]["content"]


def test_references_with_corrections_are_shown_and_named(stored: Path, judging: Judging) -> None:
    path = stored / "reference_answer" / "gpt-4-0125-preview.jsonl"
    if not path.is_file():
        pytest.skip(f"needs {path.name} beside MT-Bench's other files")
    corrected = {row["question_id"]: row["choices"][0]["turns"] for row in stored_rows(path)}

    made = asked(judging, references="gpt-4-0125-preview")

    assert {ask.prompt for ask in made if ask.turn == 1} == {"single-v1", "single-math-v1+gpt-4-0125-preview"}
    assert all(corrected[111][0] in ask.messages[1]["content"] for ask in made if ask.question_id == 111)


@pytest.mark.parametrize(
    ("prompt", "references", "name", "shown"),
    [
        ("single-v1", "gpt-4-0125-preview", "single-v1", None),
        ("pair-math-v1", "", "pair-math-v1", "gpt-4"),
        ("pair-math-v1", "gpt-4", "pair-math-v1", "gpt-4"),
        ("single-math-v1", "gpt-4-0125-preview", "single-math-v1+gpt-4-0125-preview", "gpt-4-0125-preview"),
    ],
)
def test_a_prompts_name_tells_which_references_it_shows(
    prompt: str, references: str, name: str, shown: str | None
) -> None:
    assert with_references(prompt, references) == name
    assert references_of(name) == shown


def test_references_that_there_are_not_are_refused_with_those_there_are(judging: Judging) -> None:
    with pytest.raises(UsageError, match='no reference answers "gpt4"') as refused:
        asked(judging, references="gpt4")

    assert "gpt-4" in refused.value.hint
