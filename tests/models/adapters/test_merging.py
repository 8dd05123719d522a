"""A merged model says what its base says with the adapters on; and what cannot be merged is refused or left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import TrainingError, UsageError
from align_cli.models.adapters import merge_work, merging
from align_cli.models.adapters.chains import Chain
from align_cli.models.finding import headers
from align_cli.models.locate import chain, locate
from tests.models.conftest import Adapt, edit, logits, through_peft

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cache")]

Make = Callable[..., Path]

#: Settings of an adapter, settings of its base; each is a way in which a weight may be stored or changed.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "every linear layer": ({"target_modules": "all-linear"}, {}),
    "rank-stabilised": ({"use_rslora": True}, {}),
    "patterns of rank and alpha": ({"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.*v_proj": 3}}, {}),
    "some layers": ({"layers_to_transform": [1], "layers_pattern": "layers"}, {}),
    "DoRA": ({"use_dora": True}, {}),
    "biases": ({"bias": "all"}, {"attention_bias": True}),
    "whole modules": ({"modules_to_save": ["lm_head", "embed_tokens"]}, {}),
    "embeddings": ({"target_modules": ["embed_tokens", "q_proj"]}, {}),
    "head": ({"target_modules": ["lm_head", "q_proj"]}, {}),
    "tied, embeddings": ({"target_modules": ["embed_tokens", "q_proj"]}, {"tie_word_embeddings": True}),
    "tied, head": ({"target_modules": ["lm_head", "q_proj"]}, {"tie_word_embeddings": True}),
    "tied, both": ({"target_modules": ["lm_head", "embed_tokens"]}, {"tie_word_embeddings": True}),
    "tied, whole embeddings": ({"modules_to_save": ["embed_tokens"]}, {"tie_word_embeddings": True}),
    "tied, whole head": ({"modules_to_save": ["lm_head"]}, {"tie_word_embeddings": True}),
    "many shards": ({"target_modules": "all-linear"}, {"shard": "8KB"}),
    "many shards, tied": ({"target_modules": ["lm_head", "q_proj"]}, {"shard": "8KB", "tie_word_embeddings": True}),
    "half precision": ({}, {"dtype": "bfloat16"}),
}


def merge_here(links: Chain, folder: Path, role: str = "model") -> dict[str, Any]:
    """The child's work without the child, which would take seconds to start."""
    folder.mkdir(parents=True)
    return merge_work.merge(
        chain=links.as_dict(), folder=str(folder), role=role, trust_remote_code=False, say=print, on_progress=print
    )


@pytest.mark.parametrize("case", CASES)
def test_merged_logits_are_those_of_base_and_adapter(case: str, llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    settings, config = CASES[case]
    base = llama(**config)
    adapter = adapt("adapter", base, **settings)

    record = merge_here(chain(str(adapter)), tmp_path / "merged")

    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype="auto")
    tolerance = 1e-4 if merged.dtype.itemsize == 4 else 0.25
    assert (logits(merged) - logits(through_peft(adapter))).abs().max() < tolerance
    assert record["how"] == "shard by shard"
    assert record["verified"]["largest"] <= record["verified"]["tolerance"]
    assert record["verified"]["effect"] > 0.5


def test_an_adapter_on_an_adapter_is_merged_into_the_base_of_both(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base = llama()
    first = adapt("first", base, target_modules="all-linear")
    merge_here(chain(str(first)), tmp_path / "first-merged")
    second = adapt("second", tmp_path / "first-merged", seed=2, r=2, target_modules=["q_proj", "down_proj"])
    edit(second, base_model_name_or_path=str(first))

    record = merge_here(chain(str(second)), tmp_path / "merged")

    assert [link["name"] for link in record["chain"]["adapters"]] == [str(first), str(second)]
    wanted = logits(through_peft(second, tmp_path / "first-merged"))
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert (logits(merged) - wanted).abs().max() < 1e-4


def test_rows_for_new_tokens_come_along(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    adapter = adapt("adapter", llama(), tokens=264)

    merge_here(chain(str(adapter)), tmp_path / "merged")

    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert merged.config.vocab_size == 264
    assert (logits(merged) - logits(through_peft(adapter, tokens=264))).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("why", "settings"),
    [
        ("IA3", {}),
        ("trainable_token_indices", {"trainable_token_indices": [3, 4]}),
        ("lora_bias", {"lora_bias": True}),
    ],
)
def test_what_only_peft_can_merge_is_merged_by_peft(
    why: str, settings: dict[str, Any], llama: Make, adapt: Adapt, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    base = llama(attention_bias=True)
    adapter = _ia3(base, tmp_path / "ia3") if why == "IA3" else adapt("adapter", base, **settings)

    record = merge_here(chain(str(adapter)), tmp_path / "merged")

    assert record["how"].startswith("in memory: ")
    assert why in record["how"]
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert (logits(merged) - logits(through_peft(adapter))).abs().max() < 1e-4


def test_a_reward_model_s_adapter_becomes_a_reward_model(llama: Make, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForSequenceClassification as Classifier

    base = llama()
    torch.manual_seed(5)
    settings = LoraConfig(r=4, target_modules=["q_proj"], task_type="SEQ_CLS", modules_to_save=["score"])
    adapted = get_peft_model(Classifier.from_pretrained(base, num_labels=1), settings)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    adapted.save_pretrained(str(tmp_path / "reward"))

    merge_here(chain(str(tmp_path / "reward")), tmp_path / "merged")

    wanted = logits(PeftModel.from_pretrained(Classifier.from_pretrained(base, num_labels=1), tmp_path / "reward"))
    assert (logits(Classifier.from_pretrained(tmp_path / "merged")) - wanted).abs().max() < 1e-4


def test_old_weights_are_merged_like_new_ones(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    adapter = adapt("adapter", llama())
    wanted = logits(through_peft(adapter))
    new = adapter / "adapter_model.safetensors"
    torch.save(load_file(new), adapter / "adapter_model.bin")
    new.unlink()

    record = merge_here(chain(str(adapter)), tmp_path / "merged")

    from transformers import AutoModelForCausalLM

    assert record["how"] == "shard by shard"
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert (logits(merged) - wanted).abs().max() < 1e-4
    assert not (tmp_path / "merged" / "align" / ".adapters").exists()


def test_a_merge_that_came_out_wrong_is_not_kept(
    llama: Make, adapt: Adapt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from align_cli.models.adapters import lora

    adapter = adapt("adapter", llama())
    links = chain(str(adapter))
    monkeypatch.setattr(lora.Adapter, "of_pattern", lambda self, key, path, value: value * (1 + ("alpha" in key)))

    with pytest.raises(TrainingError, match="differs from base and adapter"):
        merge_here(links, tmp_path / "merged")

    assert not (tmp_path / "merged" / "align" / "merged.json").exists()


def test_tensors_that_no_adapter_touches_keep_every_bit(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    base = llama(dtype="bfloat16", shard="8KB")
    adapter = adapt("adapter", base)

    merge_here(chain(str(adapter)), tmp_path / "merged")

    before, after = headers.weights(base), headers.weights(tmp_path / "merged")
    assert {name: (one.file.name, one.dtype, one.shape) for name, one in before.items()} == {
        name: (one.file.name, one.dtype, one.shape) for name, one in after.items()
    }
    changed = {name for name in before if _bytes(before[name]) != _bytes(after[name])}
    assert changed == {f"model.layers.{n}.self_attn.{one}_proj.weight" for n in (0, 1) for one in "qv"}


def test_tokenizer_template_and_end_token_are_those_of_the_adapter(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    from tests.models.tiny import tiny_model

    base = llama()
    (base / "generation_config.json").write_text('{"eos_token_id": 256}')
    adapter = adapt("adapter", base)
    tiny_model(adapter, template="of the adapter")
    (adapter / "config.json").unlink()

    merge_here(chain(str(adapter)), tmp_path / "merged")

    merged = tmp_path / "merged"
    assert (merged / "chat_template.jinja").read_text() == "of the adapter"
    assert json.loads((merged / "generation_config.json").read_text())["eos_token_id"] == [258, 256]


def test_merging_says_what_it_does_and_leaves_only_the_model(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    adapter = adapt("adapter", llama(shard="8KB"))
    said: list[str] = []
    moments: list[tuple[int, int, str]] = []

    record = merging.merge(
        chain(str(adapter)),
        tmp_path / "merged",
        say=said.append,
        on_progress=lambda *moment: moments.append(moment),
    )

    assert [done for done, _, _ in moments] == list(range(1, moments[0][1] + 1))
    assert len({shard for _, _, shard in moments}) > 2
    assert json.loads((tmp_path / "merged" / "align" / "merged.json").read_text()) == record
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "base", "cache", "merged"]
    with pytest.raises(UsageError, match="this very chain is merged there already"):
        merging.merge(chain(str(adapter)), tmp_path / "merged")


def test_an_occupied_folder_is_refused_and_force_moves_it_aside(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    adapter = adapt("adapter", llama())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    links = chain(str(adapter))
    said: list[str] = []

    with pytest.raises(UsageError, match="not empty"):
        merging.merge(links, tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    for source in (adapter, tmp_path / "base", tmp_path):
        with pytest.raises(UsageError, match="is read from there"):
            merging.merge(links, source, force=True)
    merging.merge(links, tmp_path / "out", force=True, say=said.append)
    merging.merge(links, tmp_path / "out", force=True)  # an earlier merge is replaced
    (tmp_path / "out" / "notes.txt").write_text("mine, too")
    merging.merge(links, tmp_path / "out", force=True)

    assert "moved to out.old-1" in said[0]
    assert (tmp_path / "out.old-1" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "out.old-2" / "notes.txt").read_text() == "mine, too"
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "adapter", "base", "cache", "out", "out.old-1", "out.old-2",
    ]  # fmt: skip


def test_a_full_disk_is_said_before_the_work(
    llama: Make, adapt: Adapt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    from types import SimpleNamespace

    links = chain(str(adapt("adapter", llama())))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1000))

    with pytest.raises(TrainingError, match=r"has 0\.0 GB left"):
        merging.merge(links, tmp_path / "out")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "base", "cache"]


def test_a_chain_is_merged_once_into_the_store(
    llama: Make, adapt: Adapt, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = adapt("adapter", llama())
    said: list[str] = []

    folder = locate(str(adapter), say=said.append)

    assert folder.parent == cache / "models"
    assert any("logits differ by at most" in line for line in said)
    monkeypatch.setattr(merging, "_merge", lambda *args, **kwargs: pytest.fail("merged again"))
    assert locate(str(adapter)) == folder


def _ia3(base: Path, out: Path) -> Path:
    import torch
    from peft import IA3Config, get_peft_model
    from transformers import AutoModelForCausalLM

    settings = IA3Config(
        task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
    )
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.mul_(1 + 0.5 * torch.rand_like(parameter))
    adapted.save_pretrained(str(out))
    return out


def _bytes(tensor: headers.Tensor) -> bytes:
    return tensor.file.read_bytes()[tensor.start : tensor.start + tensor.bytes]
