"""What vLLM is asked; a stand-in answers in its place, with a real model."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from align_cli.errors import LaunchError, UsageError
from align_cli.evals.benchmark import Question
from align_cli.evals.generate import with_vllm
from align_cli.evals.generate.talks import Prompt, Talk
from tests.evals.generate.conftest import Kept, as_fastchat

pytestmark = pytest.mark.slow


def _ask(opened, questions, **known):
    kept = Kept()
    with_vllm.generate(
        opened, questions, known.pop("have", {}), seed=3, system=None, on_answer=kept.on_answer,
        on_progress=kept.moments.append, is_stopped=kept.is_stopped, **known,
    )  # fmt: skip
    return kept


@pytest.fixture
def stand_in(monkeypatch):
    """A package named vllm; its LLM opens the folder with transformers and answers greedily."""

    class LLM:
        def __init__(self, *, model, dtype, max_model_len, **known):
            from transformers import AutoModelForCausalLM

            self.network = AutoModelForCausalLM.from_pretrained(model, dtype=dtype)

        def generate(self, prompts, parameters, *, use_tqdm):
            import torch

            outputs = []
            for prompt, one in zip(prompts, parameters, strict=True):
                ids = torch.tensor([prompt["prompt_token_ids"]])
                made = self.network.generate(
                    input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
                    max_new_tokens=one.max_tokens, eos_token_id=one.stop_token_ids,
                )  # fmt: skip
                outputs.append(SimpleNamespace(outputs=[SimpleNamespace(token_ids=made[0, ids.shape[1] :].tolist())]))
            return outputs

    package = ModuleType("vllm")
    package.LLM, package.SamplingParams = LLM, SimpleNamespace
    monkeypatch.setitem(sys.modules, "vllm", package)


def test_where_vllm_is_absent_the_command_that_brings_it_is_said(small, questions, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)

    with pytest.raises(LaunchError) as caught:
        _ask(small(), questions)

    assert "pip install align-cli[vllm]" in caught.value.hint


def test_turns_are_answered_one_after_the_other(small, questions, stand_in):
    greedy = [question for question in questions if question.temperature == 0]
    opened = small()

    kept = _ask(_without_weights(opened), greedy, batch_size=2)

    assert kept.said == as_fastchat(opened, greedy)
    assert {answer.turn for turns in kept.answers.values() for answer in turns} == {1, 2, 3}
    assert kept.moments[-1].turns_done == kept.moments[-1].turns == len(kept.said)


def test_a_run_goes_on_with_what_is_there(small, questions, stand_in):
    greedy = [question for question in questions if question.temperature == 0]
    opened = small()
    whole = _ask(opened, greedy)

    rest = _ask(opened, greedy, have={question: turns[:1] for question, turns in whole.answers.items()})

    assert rest.said == {key: said for key, said in whole.said.items() if key[1] > 1}


def test_sampling_is_said_in_vllms_words(small):
    opened = small()
    opened.network.generation_config.update(top_p=0.9, repetition_penalty=1.1)
    sampled = Talk(question=Question(id=1, category="", turns=("x",), temperature=0.7), system=None)
    greedy = Talk(question=Question(id=1, category="", turns=("x",)), system=None)
    prompt = Prompt(tokens=[1], room=12)

    shared = {
        "max_tokens": 12, "stop_token_ids": list(opened.end_tokens), "ignore_eos": False, "detokenize": False,
        "repetition_penalty": 1.1,
    }  # fmt: skip
    assert with_vllm.sampling(opened, greedy, prompt, 5) == shared | {"temperature": 0.0}
    assert with_vllm.sampling(opened, sampled, prompt, 5) == shared | {
        "temperature": 0.7, "seed": 5, "top_k": 50, "top_p": 0.9, "min_p": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("rules", [{"typical_p": 0.9}, {"no_repeat_ngram_size": 3}, {"min_new_tokens": 2}])
def test_what_vllm_does_not_do_is_refused(small, questions, stand_in, rules):
    opened = small()
    opened.network.generation_config.update(**rules)

    with pytest.raises(UsageError, match=next(iter(rules))):
        _ask(opened, questions)


def _without_weights(opened):
    from align_cli.models.speaking.opened import open_chain

    found = open_chain(opened.chain, weights=False)
    assert found.device == "meta"
    assert found.end_tokens == opened.end_tokens
    assert found.network.generation_config.eos_token_id == opened.network.generation_config.eos_token_id
    assert (found.dtype, found.context_length) == (opened.dtype, opened.context_length)
    return found
