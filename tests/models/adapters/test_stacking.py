"""Two adapters as one: plain peft on the raw base gives what the second gave on top of the first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import UsageError
from align_cli.models.adapters import lora, stackable, stacking
from align_cli.models.finding import headers
from align_cli.models.locate import chain
from tests.models.adapters.test_merging import merge_here
from tests.models.conftest import Adapt, logits, through_peft

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cache")]

Make = Callable[..., Path]
Settings = dict[str, Any]

#: Settings of the first adapter, of the second, and of their base.
CASES: dict[str, tuple[Settings, Settings, Settings]] = {
    "the same modules": ({}, {"r": 3, "lora_alpha": 7}, {}),
    "other modules": ({"target_modules": ["q_proj"]}, {"target_modules": ["down_proj", "o_proj"]}, {}),
    "rank-stabilised on plain": ({}, {"use_rslora": True, "r": 5}, {}),
    "plain on rank-stabilised": ({"use_rslora": True, "r": 3}, {}, {}),
    "patterns": ({"rank_pattern": {"q_proj": 2}}, {"alpha_pattern": {"layers.1.*": 3}, "r": 2}, {}),
    "some layers on all": ({"target_modules": "all-linear"}, {"layers_to_transform": [0]}, {}),
    "all on some layers": ({"layers_to_transform": [0]}, {"target_modules": "all-linear"}, {}),
    "a pattern of modules": ({"target_modules": r".*layers\.0.*(q|k)_proj"}, {}, {}),
    "embeddings twice": ({"target_modules": ["embed_tokens"]}, {"target_modules": ["embed_tokens", "q_proj"]}, {}),
    "the later whole module wins": ({"modules_to_save": ["lm_head"]}, {"modules_to_save": ["lm_head"]}, {}),
    "a whole module stays": ({"modules_to_save": ["lm_head"]}, {}, {}),
    "LoRA on a whole module": (
        {"modules_to_save": ["lm_head"]}, {"target_modules": ["lm_head", "q_proj"], "layers_to_transform": None}, {},
    ),
    "a whole module on LoRA": (
        {"target_modules": ["lm_head", "q_proj"]}, {"modules_to_save": ["lm_head"], "target_modules": ["k_proj"]}, {},
    ),
    "tied, head then embeddings": (
        {"target_modules": ["lm_head", "q_proj"]}, {"target_modules": ["embed_tokens"]}, {"tie_word_embeddings": True},
    ),
    "tied, whole embeddings first": ({"modules_to_save": ["embed_tokens"]}, {}, {"tie_word_embeddings": True}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_stacked_adapter_is_right_in_plain_peft(case: str, llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    below, above, config = CASES[case]
    base = llama(**config)
    first = adapt("first", base, **below)
    merge_here(chain(str(first)), tmp_path / "merged")
    second = adapt("second", tmp_path / "merged", seed=2, **above)

    stacking.stack(first, second, tmp_path / "stacked")

    wanted = logits(through_peft(second))
    assert (logits(through_peft(first)) - wanted).abs().max() > 0.1
    stacked = through_peft(tmp_path / "stacked")
    assert (logits(stacked) - wanted).abs().max() < 1e-4
    assert json.loads((tmp_path / "stacked" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        base
    )
    loaded = {name for name, _ in stacked.named_parameters() if "lora_" in name}
    assert len(loaded) == sum(".lora_" in name for name in lora.read(tmp_path / "stacked").header.tensors)


def test_readers_that_know_no_patterns_find_one_rank_and_scaling_one(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    base = llama()
    first = adapt("first", base, r=4)
    second = adapt("second", base, r=3, target_modules=["v_proj", "o_proj"])

    stacking.stack(first, second, tmp_path / "stacked")

    config = json.loads((tmp_path / "stacked" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["rank_pattern"], config["alpha_pattern"]) == (7, 7, {}, {})
    assert config["target_modules"] == ["o_proj", "q_proj", "v_proj"]
    shapes = headers.read(tmp_path / "stacked" / "adapter_model.safetensors").tensors
    assert {tensor.shape[0] for name, tensor in shapes.items() if ".lora_A" in name} == {7}


def test_scaling_by_a_power_of_two_keeps_half_precision(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    base = llama(dtype="bfloat16")
    first, second = adapt("first", base), adapt("second", base, seed=2)
    for adapter in (first, second):
        _to_half(adapter)

    stacking.stack(first, second, tmp_path / "stacked")

    found = headers.read(tmp_path / "stacked" / "adapter_model.safetensors").tensors
    assert {tensor.dtype for tensor in found.values()} == {"BF16"}


@pytest.mark.parametrize(
    "settings",
    [{"use_dora": True}, {"bias": "all"}, {"trainable_token_indices": [1]}],
    ids=lambda settings: next(iter(settings)),
)
def test_what_does_not_add_up_is_refused_with_the_way_out(
    settings: Settings, llama: Make, adapt: Adapt, tmp_path: Path
) -> None:
    base = llama(attention_bias=True)
    first, second = adapt("first", base, **settings), adapt("second", base)

    with pytest.raises(UsageError, match=next(iter(settings))) as caught:
        stacking.stack(first, second, tmp_path / "stacked")

    assert caught.value.hint == f"align model merge {first} TO"
    assert not (tmp_path / "stacked").exists()


def test_rows_for_new_tokens_are_kept_where_peft_left_them_out(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = llama()
    saved = adapt("saved", base, tokens=264)
    network = through_peft(saved, tokens=264)
    file = saved / "adapter_model.safetensors"
    kept = {name: one for name, one in load_file(file).items() if ".lora_" in name}
    save_file(kept, file, metadata={"format": "pt"})

    stacking.settle(saved, base, network, name="saved")

    assert (logits(through_peft(saved, tokens=264)) - logits(network)).abs().max() == 0


def test_experts_are_stacked_expert_by_expert(tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

    torch.manual_seed(0)
    config = Qwen3MoeConfig(
        vocab_size=259, hidden_size=16, intermediate_size=32, moe_intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, num_experts=4, num_experts_per_tok=2, head_dim=4,
        initializer_range=0.3,
    )  # fmt: skip
    Qwen3MoeForCausalLM(config).save_pretrained(tmp_path / "base")

    def adapt(name: str, base: Path, rank: int) -> Path:
        settings = LoraConfig(
            r=rank, lora_alpha=8, target_modules=["q_proj"], task_type="CAUSAL_LM",
            target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
        )  # fmt: skip
        adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.1)
        adapted.save_pretrained(str(tmp_path / name))
        return tmp_path / name

    first = adapt("first", tmp_path / "base", 2)
    record = merge_here(chain(str(first)), tmp_path / "merged")
    second = adapt("second", tmp_path / "merged", 3)

    stacking.stack(first, second, tmp_path / "stacked")

    assert record["how"] == "in memory: target_parameters is set"
    wanted = logits(through_peft(second))
    assert (logits(through_peft(tmp_path / "stacked")) - wanted).abs().max() < 1e-4


def test_stacking_is_refused_before_the_work_from_settings_alone() -> None:
    plain = {"peft_type": "LORA", "bias": "none"}

    assert stackable.obstacle([plain, plain]) == ""
    assert "use_dora" in stackable.obstacle([plain, plain | {"use_dora": True}])
    assert "VERA" in stackable.obstacle([{"peft_type": "VERA"}, plain])
    experts = plain | {"target_parameters": ["a"]}
    assert stackable.obstacle([experts, plain, experts]) == ""
    assert "target_parameters" in stackable.obstacle([experts, plain | {"target_parameters": ["b"]}])


def _to_half(adapter: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    file = adapter / "adapter_model.safetensors"
    save_file({name: one.to(torch.bfloat16) for name, one in load_file(file).items()}, file, metadata={"format": "pt"})
