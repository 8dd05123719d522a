"""A model is tried before it is relied on."""

from __future__ import annotations

import pytest

from align_cli.evals.generate import trial

pytestmark = pytest.mark.slow


def test_a_model_that_computes_the_same_is_taken(small):
    import torch

    with torch.inference_mode():
        why, kept = trial.obstacle(small().network)

    assert why == ""
    assert [(shape.heads, shape.key_dim, shape.value_dim) for shape in kept] == [(2, 8, 8)] * 2


def test_a_model_that_computes_otherwise_is_not(small, monkeypatch):
    import torch

    from align_cli.evals.generate import attention

    monkeypatch.setattr(attention, "_mask_of_group", lambda group, query, window: None)  # rows see others' leftovers

    with torch.inference_mode():
        why, kept = trial.obstacle(small().network)

    assert (why, kept) == ("LlamaForCausalLM computes otherwise over slots", ())


def test_a_model_that_keeps_arguments_from_its_attention_is_not(small):
    import torch

    network = small().network
    for layer in network.model.layers:
        own = layer.self_attn.forward
        layer.self_attn.forward = lambda *args, own=own, align_aim=None, **known: own(*args, **known)

    with torch.inference_mode():
        why, _ = trial.obstacle(network)

    assert "does not hand arguments through" in why


def test_a_learned_prompt_is_not_in_the_layers(small):
    import torch
    from peft import PromptTuningConfig, get_peft_model

    adapted = get_peft_model(small().network, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))

    with torch.inference_mode():
        assert trial.obstacle(trial.whole(adapted)) == ("the adapter is a learned prompt", ())
