"""Old recipes, from the file to the finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align_cli.files import read_json
from tests.end_to_end.conftest import Train, curve

pytestmark = pytest.mark.slow

#: As the Handbook's recipes were written, each key in its own year's words.
OF_2023 = """\
model_name_or_path: base
torch_dtype: null
use_flash_attention_2: false
dataset_mixer:
  data: 0.5
dataset_splits: [train, test]
preprocessing_num_workers: 4
chat_template: "{% for m in messages %}{{ '<|im_start|>' + m.role + m.content + '<|im_end|>' }}{% endfor %}"
do_eval: true
evaluation_strategy: "no"
max_seq_length: 64
num_train_epochs: 1
per_device_train_batch_size: 4
learning_rate: 1.0e-02
logging_steps: 2
warmup_ratio: 0.1
overwrite_output_dir: true
push_to_hub: true
hub_model_revision: v1
use_cpu: true
report_to: []
output_dir: out
"""

OF_2025 = """\
model_name_or_path: base
dataset_mixture:
  datasets:
    - id: data
      columns: [messages]
      weight: 0.5
  seed: 3
  test_split_size: 4
eval_strategy: epoch
do_eval: true
max_length: 64
num_train_epochs: 1
per_device_train_batch_size: 4
learning_rate: 1.0e-02
lr_scheduler_type: cosine_with_min_lr
lr_scheduler_kwargs: {min_lr_rate: 0.1}
save_steps: 0.5
ddp_timeout: 1000
logging_steps: 2
use_cpu: true
report_to: none
output_dir: out
"""


@pytest.fixture
def base(workplace: Path) -> Path:
    """A base model: no chat template, no ChatML tokens, and a configuration that forbids the cache."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = workplace / "base"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=257, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, eos_token_id=256, bos_token_id=256, use_cache=False,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<eos>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "TokenizersBackend", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    rows = (workplace / "rows.jsonl").read_text().splitlines(keepends=True)
    (workplace / "data").mkdir()
    (workplace / "data" / "train.jsonl").write_text("".join(rows))
    (workplace / "data" / "test.jsonl").write_text("".join(rows[:5]))
    return folder


@pytest.fixture
def run_of(train: Train, workplace: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(text: str, **values: Any) -> Path:
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        (workplace / "r.yaml").write_text(text)
        return train(**values)

    return run


def test_a_recipe_of_2023_trains_evaluates_and_leaves_what_its_script_left(run_of: Any) -> None:
    run = run_of(OF_2023)

    for name in ("train_results.json", "eval_results.json", "all_results.json", "trainer_state.json"):
        assert (run / name).is_file(), name
    assert read_json(run / "config.json")["use_cache"] is True
    assert read_json(run / "config.json")["vocab_size"] == 259
    assert read_json(run / "config.json")["eos_token_id"] == 258  # <|im_end|>
    assert read_json(run / "generation_config.json")["eos_token_id"] == [258, 256]  # and the base's still stops, too
    tokenizer = read_json(run / "tokenizer_config.json")
    assert [tokenizer[name] for name in ("bos_token", "eos_token", "pad_token")] == [
        "<|im_start|>",
        "<|im_end|>",
        "<|im_end|>",
    ]
    assert "- alignment-handbook" in (run / "README.md").read_text()
    results = read_json(run / "all_results.json")
    assert results["eval_samples"] > 0
    assert results["train_samples"] == read_json(run / "train_results.json")["train_samples"]


def test_a_push_without_a_token_is_said_and_fails_nothing(run_of: Any) -> None:
    run = run_of(OF_2023)

    manifest = read_json(run / "align" / "manifest.json")
    assert any("not pushed to the Hub" in warning for warning in manifest["warnings"])
    assert (run / "model.safetensors").is_file()


def test_the_same_seed_gives_the_same_model_embeddings_of_new_tokens_included(run_of: Any) -> None:
    import torch
    from safetensors.torch import load_file

    models = []
    for number in (1, 2):
        torch.manual_seed(number)  # whatever the process did before
        run = run_of(
            OF_2023, output_dir=f"out-{number}", use_peft=True, lora_r=2, lora_modules_to_save=["embed_tokens"]
        )
        models.append(load_file(run / "adapter_model.safetensors"))

    first, second = models
    assert any("embed_tokens" in name for name in first)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_recipe_of_2025_takes_chatml_and_evaluates_what_it_held_out(run_of: Any) -> None:
    run = run_of(OF_2025)

    assert read_json(run / "generation_config.json")["eos_token_id"][0] == 258
    assert read_json(run / "config.json")["use_cache"] is True
    assert read_json(run / "eval_results.json")["eval_samples"] == 4
    assert "<|im_start|>" in (run / "chat_template.jinja").read_text()
    rates = [line["learning_rate"] for line in curve(run) if "learning_rate" in line]
    assert 1e-3 <= rates[-1] < rates[0] <= 1e-2
    steps = read_json(run / "trainer_state.json")["max_steps"]
    found = {int(path.name.rpartition("-")[2]) for path in run.glob("checkpoint-*")}
    assert found == {-(-steps // 2), steps} or found == {-(-steps // 2), 2 * -(-steps // 2), steps}
