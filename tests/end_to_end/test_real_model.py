"""SmolLM2-135M, fully fine-tuned on the shipped conversations, killed in the middle and taken up again."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from align_cli.recipe import shipped
from tests.end_to_end.conftest import Train, curve, start, wait_for

pytestmark = pytest.mark.slow


def test_a_killed_run_of_a_real_model_ends_like_an_unbroken_one_and_plain_transformers_loads_it(
    train: Train, smollm2: Path, workplace: Path
):
    from transformers import AutoModelForCausalLM

    rows = Path(shipped.resolve("shipped://data/ask-align.jsonl")).read_text().splitlines()
    (workplace / "rows.jsonl").write_text("\n".join(rows[:40]) + "\n")
    chosen = {
        "model_name_or_path": str(smollm2), "assistant_only_loss": True, "max_length": 96, "learning_rate": 1e-4,
        "max_steps": 6, "logging_steps": 1, "save_steps": 2, "save_total_limit": 1,
        "per_device_train_batch_size": 2, "mixture.held_out": None,
    }  # fmt: skip
    words = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in chosen.items()]
    whole = train(output_dir="whole", **chosen)

    first = start(*words)
    wait_for(Path("out/checkpoint-2/align.json"))
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    resumed = train(**chosen)

    manifest = json.loads((resumed / "align" / "manifest.json").read_text())
    assert manifest["facts"]["resumed_from"] is not None
    losses = [line["loss"] for line in curve(resumed) if "loss" in line]
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert curve(resumed) == curve(whole)
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    trained = AutoModelForCausalLM.from_pretrained(resumed)
    before = AutoModelForCausalLM.from_pretrained(smollm2)
    assert trained.num_parameters() == before.num_parameters()
    assert not (trained.model.norm.weight == before.model.norm.weight).all()
