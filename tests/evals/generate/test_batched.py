"""Answers that are made together are those that each question gets alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from align_cli.errors import LaunchError
from align_cli.evals.benchmark import Question
from tests.evals.generate.conftest import Kept, as_fastchat

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("batch_size", [None, 1, 5])
def test_answers_are_those_that_generate_gives_one_by_one(small, questions, ask, batch_size):
    opened = small()
    expected = as_fastchat(opened, questions)

    kept = ask(opened, questions, batch_size=batch_size)

    assert kept.said == expected
    assert kept.lines == []
    assert {state for _, _, state in expected.values()} == {"ok", "length"}  # both ends are seen


def test_a_system_prompt_stands_before_every_conversation(small, questions, ask):
    opened = small()

    kept = ask(opened, questions[:4], system="Be brief, and be kind.")

    assert kept.said == as_fastchat(opened, questions[:4], system="Be brief, and be kind.")


@pytest.mark.parametrize(
    "rules",
    [
        {"top_k": 5},
        {"top_k": 0, "top_p": 0.8},
        {"repetition_penalty": 1.3, "min_p": 0.05},
        {"no_repeat_ngram_size": 2, "typical_p": 0.9},
        {"suppress_tokens": [10, 20, 30], "epsilon_cutoff": 0.01, "eta_cutoff": 0.01},
    ],
)
def test_the_models_own_rules_of_sampling_hold(small, questions, ask, rules):
    opened = small()
    opened.network.generation_config.update(**rules)

    kept = ask(opened, questions)

    assert kept.said == as_fastchat(opened, questions)
    assert kept.lines == []


def test_rules_that_only_generate_knows_are_left_to_it(small, questions, ask):
    opened = small()
    opened.network.generation_config.update(min_new_tokens=4)

    kept = ask(opened, questions[:6])

    assert kept.said == as_fastchat(opened, questions[:6])
    assert kept.lines == ["one question at a time: the generation config has min_new_tokens=4"]


def test_attention_to_the_last_tokens_only_is_answered_together_too(small, questions, ask):
    opened = small("MistralConfig", sliding_window=24)

    kept = ask(opened, questions)

    assert kept.said == as_fastchat(opened, questions)
    assert kept.lines == []


@pytest.mark.parametrize(
    ("config", "sizes", "why"),
    [
        ("Gemma2Config", {"head_dim": 8}, "attends in a way of its own"),
        (
            "LlamaConfig",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}},
            "positions of the kind dynamic depend on the longest row",
        ),
        ("MambaConfig", {"state_size": 4, "num_attention_heads": None}, "attends in a way of its own"),
    ],
)
def test_other_models_answer_one_by_one(small, questions, ask, config, sizes, why):
    opened = small(config, **sizes)

    kept = ask(opened, questions[:4])

    assert kept.said == as_fastchat(opened, questions[:4])
    assert len(kept.lines) == 1
    assert why in kept.lines[0]


def test_an_adapters_model_answers_as_it_is(small, questions, ask):
    import torch
    from peft import LoraConfig, get_peft_model

    opened = small()
    adapted = get_peft_model(opened.network, LoraConfig(r=4, target_modules=["q_proj", "down_proj"]))
    torch.manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.3)
    with_adapter = replace(opened, network=adapted.eval())

    kept = ask(with_adapter, questions)

    assert kept.said == as_fastchat(with_adapter, questions)
    assert kept.lines == []
    with adapted.disable_adapter():
        assert kept.said != as_fastchat(with_adapter, questions)


def test_a_run_goes_on_between_two_turns(small, questions, ask):
    opened = small()
    whole = ask(opened, questions)
    have = {question: turns[:1] for question, turns in whole.answers.items()}

    rest = ask(opened, questions, have=have)

    assert rest.said == {key: said for key, said in whole.said.items() if key[1] > 1}


def test_the_plain_road_goes_on_between_two_turns_too(small, questions, ask):
    opened = small()
    opened.network.generation_config.update(min_new_tokens=1)
    whole = ask(opened, questions[:9])
    have = {question: turns[:1] for question, turns in whole.answers.items()}

    rest = ask(opened, questions[:9], have=have)

    assert rest.said == {key: said for key, said in whole.said.items() if key[1] > 1}


@pytest.mark.parametrize("stop_after", [0, 3, 40, 75])
def test_a_stopped_run_gives_whole_answers_only(small, questions, ask, stop_after):
    opened = small()
    expected = as_fastchat(opened, questions)

    first = ask(opened, questions, batch_size=4, kept=Kept(stop_after))
    second = ask(opened, questions, batch_size=4, have=first.answers)

    assert len(first.said) < len(expected)
    assert first.said | second.said == expected
    assert not set(first.said) & set(second.said)


def test_a_prompt_that_fills_the_context_is_no_question(small, ask):
    opened = small(max_position_embeddings=64)
    fitting = Question(id="fits", category="any", turns=("hello", "word " * 20, "more"), max_new_tokens=10)

    kept = ask(opened, [fitting])

    first, second = kept.answers["fits"]
    assert first.is_one
    assert (second.turn, second.state, second.text, second.new_tokens) == (2, "too_long", "", 0)
    assert second.why == f"the prompt has {second.prompt_tokens} tokens and the model's context 64"
    assert (kept.moments[-1].turns_done, kept.moments[-1].turns) == (2, 2)  # the third cannot be asked
    assert ask(opened, [fitting], have=kept.answers).said == {}


def test_an_answer_ends_where_the_context_does(small, ask):
    opened = small(max_position_embeddings=64)
    opened.network.generation_config.update(suppress_tokens=list(opened.end_tokens))
    room = 64 - len(opened.prompt([{"role": "user", "content": "hello"}]))

    kept = ask(opened, [Question(id=1, category="any", turns=("hello",), max_new_tokens=1000)])

    (answer,) = kept.answers[1]
    assert (answer.state, answer.new_tokens) == ("length", room)
    assert answer.why == f"cut at {room} tokens: the model's context is full"


def test_running_out_of_memory_halves_the_rows(small, questions, ask):
    opened = small()
    seen = _refuse_more_rows_than(2, opened.network)

    kept = ask(opened, questions, batch_size=12)

    assert kept.said == as_fastchat(opened, questions)
    assert kept.lines == [f"memory ran out: going on with {rows} rows" for rows in (6, 3, 1)]
    assert 12 in seen


def test_running_out_of_memory_with_one_row_is_said(small, questions, ask):
    opened = small()
    _refuse_more_rows_than(0, opened.network, only_steps=True)

    with pytest.raises(LaunchError, match="memory ran out with one question at a time"):
        ask(opened, questions)


def test_logits_that_are_no_numbers_are_said(small, questions, ask):
    opened = small()
    opened.network.lm_head.weight.data[7] = float("nan")

    with pytest.raises(LaunchError, match="no numbers"):
        ask(opened, questions)


def test_the_model_is_left_as_it_was(small, questions, ask):
    opened = small()
    before = opened.network.config._attn_implementation

    ask(opened, questions[:3])
    with pytest.raises(ZeroDivisionError):
        ask(opened, questions[:3], kept=_Broken())

    assert opened.network.config._attn_implementation == before
    assert not [module for module in opened.network.modules() if "forward" in vars(module)]


def test_progress_counts_turns_and_tokens(small, questions, ask):
    opened = small()

    kept = ask(opened, questions, batch_size=4)

    turns = sum(len(question.turns) for question in questions)
    last = kept.moments[-1]
    assert (last.turns_done, last.turns, last.rows, last.seconds_left) == (turns, turns, 0, 0)
    assert last.tokens == sum(tokens for _, tokens, _ in kept.said.values())
    assert max(moment.rows for moment in kept.moments) == 4


def test_an_answer_says_what_it_took(small, ask):
    opened = small()

    kept = ask(opened, [Question(id=1, category="any", turns=("hello",), max_new_tokens=5)])

    (answer,) = kept.answers[1]
    assert answer.prompt_tokens == len(opened.prompt([{"role": "user", "content": "hello"}]))
    assert answer.seconds > 0
    assert answer.tstamp > 1.7e9


@pytest.mark.parametrize("size", [1, 3, 100])
def test_how_rows_are_grouped_changes_nothing(small, questions, ask, monkeypatch, size):
    from align_cli.evals.generate import forward, rows

    for module in (forward, rows):
        monkeypatch.setattr(module, "group_size", lambda count, device: size)
    opened = small()

    assert ask(opened, questions).said == as_fastchat(opened, questions)


class _Broken(Kept):
    def on_answer(self, answer):
        raise ZeroDivisionError


def _refuse_more_rows_than(most, network, *, only_steps=False):
    """Memory that holds so many rows and no more; the rows of each pass of the engine are kept."""
    import torch

    seen = []

    def refuse(module, args, kwargs):
        if "align_aim" in kwargs:
            rows = len(kwargs["input_ids"])
            seen.append(rows)
            if rows > most and (not only_steps or kwargs["align_aim"].positions is not None) and rows != 2:
                raise torch.OutOfMemoryError("CUDA out of memory")

    network.register_forward_pre_hook(refuse, with_kwargs=True)
    return seen
