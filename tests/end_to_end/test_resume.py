"""A run that is cut short ends as if it had not been."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from align_cli.runs import checkpoints
from tests.end_to_end.conftest import Train, curve, start, wait_for

pytestmark = pytest.mark.slow


def test_kill_9_and_the_same_command_again_give_the_same_curve_and_the_same_weights(train: Train, tiny: Path):
    whole = train(model_name_or_path=str(tiny), output_dir="whole", num_train_epochs=2)
    words = (f"model_name_or_path={tiny}", "num_train_epochs=2")

    first = start(*words)
    wait_for(Path("out/checkpoint-15/align.json"))
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    assert not Path("out/align/manifest.json").exists()
    _tear(Path("out/checkpoint-99"))
    resumed = train(model_name_or_path=str(tiny), num_train_epochs=2)

    manifest = json.loads((resumed / "align" / "manifest.json").read_text())
    assert manifest["facts"]["resumed_from"].startswith("checkpoint-")
    assert curve(resumed) == curve(whole)
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not Path("out/checkpoint-99").exists()


def test_ctrl_c_saves_says_how_to_go_on_and_loses_nothing(train: Train, tiny: Path):
    lora = {"use_peft": True, "lora_target_modules": "all-linear", "packing": True, "max_length": 256}
    chosen = {"model_name_or_path": str(tiny), "save_steps": 100, "num_train_epochs": 8, **lora}
    whole = train(output_dir="whole", **chosen)
    words = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in chosen.items()]

    process = start(*words)
    wait_for(Path("out/align/metrics.jsonl"), '"loss"')
    os.kill(process.pid, signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert checkpoints.last_whole(Path("out")) is not None
    resumed = train(**chosen)

    assert curve(resumed) == curve(whole)
    ours, theirs = (run / "adapter_model.safetensors" for run in (resumed, whole))
    assert ours.read_bytes() == theirs.read_bytes()


def _tear(checkpoint: Path) -> None:
    """A checkpoint as a crash leaves it: some files, no marker."""
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_bytes(b"half")
