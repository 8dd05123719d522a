"""What reading, merging and opening adapters assumes of peft and transformers."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from align_cli.models.adapters import chains as adapters
from align_cli.models.adapters import lora

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "path", ["model.layers.1.self_attn.q_proj", "model.layers.11.self_attn.q_proj", "q_proj", "model.xq_proj"]
)
def test_patterns_of_rank_are_looked_up_as_peft_does(path: str) -> None:
    from peft.utils.other import get_pattern_key

    patterns = {"layers.1.self_attn.q_proj": 3, "q_proj": 5, r"layers\.\d+.*": 7}
    adapter = lora.Adapter(Path(), {"rank_pattern": patterns})

    theirs = patterns.get(get_pattern_key(patterns.keys(), path), 8)

    assert adapter.of_pattern("rank_pattern", path, 8) == theirs


def test_the_kinds_that_are_refused_are_peft_s() -> None:
    from peft import PeftType

    assert set(adapters._NOT_MERGEABLE) <= {kind.value for kind in PeftType}


def test_the_settings_that_are_looked_for_are_fields_of_lora() -> None:
    from dataclasses import fields

    from peft import LoraConfig

    from align_cli.models.adapters import merge_plan, stackable, stacking

    known = {field.name for field in fields(LoraConfig)}
    assert {*adapters._NOT_A_SUM, *merge_plan._BY_PEFT, *stackable._MORE, *stacking._OF_ONE} <= known


def test_a_cache_is_cut_back_by_a_negative_number_of_tokens() -> None:
    import torch
    from transformers.cache_utils import DynamicCache, DynamicLayer

    cache = DynamicCache()
    cache.update(torch.zeros(1, 1, 5, 2), torch.zeros(1, 1, 5, 2), 0)
    assert type(cache.layers[0]) is DynamicLayer

    cache.crop(-2)

    assert cache.get_seq_length() == 3


def test_peft_takes_the_revision_of_the_base_from_the_adapter() -> None:
    from peft import AutoPeftModelForCausalLM

    source = inspect.getsource(AutoPeftModelForCausalLM.from_pretrained)

    assert "base_model_revision = peft_config.revision" in source
