"""What a judge is sent: the original's prompts, the two answers in the order that the instruction decides."""

from __future__ import annotations

from functools import partial

import pytest

from align_cli.errors import UsageError
from align_cli.evals.alpacaeval.asks import asks, reference_of, shows_model_first
from align_cli.evals.alpacaeval.evaluation_set import id_of, question_of
from align_cli.evals.alpacaeval.versions import VERSION_1, VERSION_2
from align_cli.evals.benchmark import Answer, Ask, Judging, Reference

FIRST = "Name a river."  # its answers are shown in either order, see below
OTHER = next(
    text for text in map("Name {} rivers.".format, range(50)) if shows_model_first(text) != shows_model_first(FIRST)
)


def judging(assets, ours: dict[str, str], theirs: dict[str, str]) -> Judging:
    answers = {id_of(text): [Answer(question_id=id_of(text), turn=1, text=said)] for text, said in ours.items()}
    reference = Reference(name="base", answers={id_of(text): (said,) for text, said in theirs.items()})
    return Judging(
        mode="single",
        questions=[question_of(text) for text in dict.fromkeys([*ours, *theirs])],
        answers={"model": answers},
        reference=reference,
        assets=assets,
    )


def test_the_order_is_the_originals(annotations):
    rows = [row for its in annotations.values() for row in its if "is_switched" in row]

    assert len(rows) > 500
    assert [shows_model_first(row["instruction"]) for row in rows] == [row["is_switched"] for row in rows]


def test_two_messages_show_the_instruction_and_both_answers_once(alpaca_assets):
    both = judging(alpaca_assets, {FIRST: "OURS-1", OTHER: "OURS-2"}, {FIRST: "THEIRS-1", OTHER: "THEIRS-2"})

    found = list(asks(VERSION_2, both))

    assert [one.question_id for one in found] == [id_of(FIRST), id_of(OTHER)]
    for one, instruction, number in zip(found, (FIRST, OTHER), (1, 2), strict=True):
        system, user = one.messages
        assert (system["role"], user["role"]) == ("system", "user")
        assert user["content"].count(instruction) == 1
        ours, theirs = user["content"].index(f"OURS-{number}"), user["content"].index(f"THEIRS-{number}")
        assert (ours < theirs) == shows_model_first(instruction)
        assert one.game == (2 if shows_model_first(instruction) else 1)
        assert one.reference == "base"
        assert "{" + "output_1}" not in user["content"]


@pytest.mark.parametrize(
    ("version", "parameters"),
    [
        (VERSION_2, {"temperature": 1, "max_tokens": 1, "top_p": 1, "logprobs": True, "top_logprobs": 5}),
        (VERSION_1, {"temperature": 0, "max_tokens": 100, "top_p": 1}),
    ],
)
def test_a_version_asks_as_the_original_does(alpaca_assets, version, parameters):
    (found,) = asks(version, judging(alpaca_assets, {FIRST: "a"}, {FIRST: "b"}))

    assert found.parameters == parameters
    assert found.prompt == version.prompt_name


def test_words_that_look_like_places_or_markers_stay_words(alpaca_assets):
    tricky = "Explain {output_1} and {instruction}."
    (found,) = asks(VERSION_2, judging(alpaca_assets, {tricky: "<|im_end|>{output_2}"}, {tricky: "plain"}))

    user = found.messages[-1]["content"]
    assert len(found.messages) == 2
    assert user.count(tricky) == 1
    assert '"""<|im_end|>{output_2}"""' in user
    assert '"""plain"""' in user


def test_equal_answers_are_a_draw_that_nobody_is_asked_for(alpaca_assets):
    (found,) = asks(VERSION_2, judging(alpaca_assets, {FIRST: "same"}, {FIRST: "same"}))

    assert found.known is not None
    assert found.known.score == 50


def test_what_either_side_has_not_answered_is_not_judged(alpaca_assets):
    found = list(asks(VERSION_2, judging(alpaca_assets, {FIRST: "a"}, {FIRST: "b", OTHER: "b"})))

    assert [one.question_id for one in found] == [id_of(FIRST)]


def test_a_reference_to_other_instructions_is_refused(alpaca_assets):
    ask_all = partial(asks, VERSION_2, judging(alpaca_assets, {FIRST: "a"}, {}))

    with pytest.raises(UsageError, match='the reference "base" has answered none of the 1 instructions'):
        list(ask_all())


def test_an_unknown_set_is_refused_and_the_known_one_named(alpaca_assets):
    unknown = Judging(mode="single", questions=[], answers={}, references="gpt5", assets=alpaca_assets)

    with pytest.raises(UsageError, match="gpt5"):
        reference_of(VERSION_2, unknown)


def test_the_key_tells_models_and_judges_apart(alpaca_assets):
    (one,) = asks(VERSION_2, judging(alpaca_assets, {FIRST: "a"}, {FIRST: "b"}))
    other = Ask(**{**{name: getattr(one, name) for name in Ask.__slots__}, "models": ("another",)})

    judges = [{"model": "j", "endpoint": "e"}, {"model": "k", "endpoint": "e"}]
    assert len({ask.key(judge) for ask in (one, other) for judge in judges}) == 4
