"""The whole command on a real, one-layer model: a few seconds of training, most of it importing torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Align

pytestmark = pytest.mark.slow

TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}"
    "{% else %}{{ message.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer model with a byte-level tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<|user|>", "<|assistant|>", "<end>", "<pad>", *letters])}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<end>",
        pad_token="<pad>",
        additional_special_tokens=["<|user|>", "<|assistant|>"],
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_run_prints_one_document_and_is_not_done_twice(align: Align, recipe: Path, model: Path, tmp_path: Path):
    words = ("train", "sft", "r.yaml", f"model_name_or_path={model}", "assistant_only_loss=true", "--json")

    first = align(*words)
    again = align(*words)
    other = align(*words, "learning_rate=1e-3")

    assert first.code == 0, first.err
    assert first.document["state"] == "finished"
    assert first.document["metrics"]["train_loss"] > 0
    assert "⟦" in first.err
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert again.code == 0
    assert again.document["state"] == "already finished"
    assert other.code == 2
    assert "learning_rate" in json.dumps(json.loads(other.err.splitlines()[-1]))


def test_ctrl_c_saves_a_checkpoint_and_the_same_command_goes_on(
    align: Align, recipe: Path, model: Path, tmp_path: Path
):
    words = ["train", "sft", "r.yaml", f"model_name_or_path={model}", "max_steps=20", "logging_steps=1"]
    running = subprocess.Popen(
        [sys.executable, "-m", "align_cli", *words],
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    seen = []
    for line in running.stderr:
        seen.append(line)
        if line.startswith("step 1/"):
            running.send_signal(signal.SIGINT)
    code = running.wait(120)
    checkpoints = list((tmp_path / "out").glob("checkpoint-*"))

    done = align(*words)

    assert code == 130, "".join(seen)
    assert seen[-2].startswith("interrupted: ")
    assert len(checkpoints) == 1
    assert done.code == 0, done.err
    assert f"resuming from {checkpoints[0].name}" in done.err


def test_a_model_answers_in_order_and_the_same_each_time(model: Path):
    from align_cli.models.speaking.answer import answer

    questions = ["One?", "Two, and rather longer than the first?", "Three?"]

    replies = answer(model, questions, max_new_tokens=4)

    assert len(replies) == 3
    assert answer(model, questions, max_new_tokens=4, batch_size=3) == replies
