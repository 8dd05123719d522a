"""A question on its way, turn by turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from align_cli.evals.benchmark import Answer, Question
from align_cli.evals.generate import talks
from align_cli.evals.generate.talks import Prompt, Talk

QUESTION = Question(id=7, category="any", turns=("one", "two", "three"), max_new_tokens=10)


@dataclass
class Voice:
    """A token a letter of all that was said."""

    context_length: int | None = None
    name: str = "small"
    end_tokens: tuple[int, ...] = (0,)
    tokenizer: Any = None

    def prompt(self, messages):
        return [ord(letter) for message in messages for letter in message["content"]]


class Tokenizer:
    all_special_tokens = ("<s>", "</s>")

    def decode(self, tokens, *, skip_special_tokens, spaces_between_special_tokens):
        assert not skip_special_tokens
        assert not spaces_between_special_tokens
        return "".join(map(chr, tokens))


def answered(turn, text="yes", **known):
    return Answer(question_id=7, turn=turn, text=text, **known)


def test_a_conversation_goes_on_from_the_answers_that_are_there():
    (talk,) = talks.talks([QUESTION], {7: [answered(1, "a", new_tokens=4), answered(2, "b", new_tokens=3)]}, "brief")

    assert (talk.turn, talk.left, talk.drawn) == (3, 1, 7)
    assert [(message["role"], message["content"]) for message in talk.messages()] == [
        ("system", "brief"), ("user", "one"), ("assistant", "a"), ("user", "two"), ("assistant", "b"),
        ("user", "three"),
    ]  # fmt: skip


def test_a_question_is_over_after_its_last_turn_or_where_there_was_no_answer():
    whole = {7: [answered(turn) for turn in (1, 2, 3)]}
    broken = {7: [answered(1), answered(2, "", state="too_long")]}

    assert talks.talks([QUESTION], whole, None) == []
    assert talks.talks([QUESTION], broken, None) == []
    assert len(talks.talks([QUESTION], {}, None)) == 1


def test_below_fastchats_threshold_nothing_is_sampled():
    def is_greedy(temperature):
        return Talk(question=Question(id=1, category="", turns=("x",), temperature=temperature), system=None).is_greedy

    assert [is_greedy(0.0), is_greedy(9.9e-5), is_greedy(1e-4)] == [True, True, False]


def test_new_tokens_end_with_the_context():
    talk = Talk(question=QUESTION, system=None)

    assert talks.prompt(Voice(), talk) == Prompt(tokens=[111, 110, 101], room=10)
    assert talks.prompt(Voice(context_length=8), talk) == Prompt(tokens=[111, 110, 101], room=5)

    none = talks.prompt(Voice(context_length=3), talk)
    assert isinstance(none, Answer)
    assert (none.question_id, none.turn, none.state) == (7, 1, "too_long")
    assert none.why == "the prompt has 3 tokens and the model's context 3"


def test_an_answer_is_cut_at_its_end_and_cleaned():
    voice = Voice(tokenizer=Tokenizer())
    talk, asked = Talk(question=QUESTION, system=None), Prompt(tokens=[1, 2, 3], room=10)

    ended = talks.answer(voice, talk, asked, [*map(ord, " <s>hi </s>there\n"), 0], near_ties=2)
    cut = talks.answer(voice, talk, Prompt(tokens=[1], room=2), list(map(ord, "hi")))

    assert (ended.text, ended.state, ended.why, ended.near_ties) == ("hi there", "ok", "", 2)
    assert (ended.prompt_tokens, ended.new_tokens) == (3, 18)  # the end counts: it was made as the others were
    assert (cut.text, cut.state, cut.why) == ("hi", "length", "cut at 2 tokens: the model's context is full")
    assert talks.answer(voice, talk, asked, [65] * 10).why == "cut at 10 tokens: max_new_tokens"
