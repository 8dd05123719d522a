"""Every task but sft on SmolLM2-135M with real rows: it learns, it can be stopped, and plain transformers reads it."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import Interrupted
from tests.end_to_end.conftest import TrainTask, curve, losses_of

pytestmark = pytest.mark.slow

DATA = Path(os.environ.get("ALIGN_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "datasets"
#: Four rows seen again and again: what they teach must show within a few steps.
ROWS, STEPS, STOP = 4, 6, 3
SETTINGS: dict[str, Any] = {
    "max_length": 64,
    "max_steps": STEPS,
    "per_device_train_batch_size": 2,
    "logging_steps": 1,
    "save_steps": 100,
    "gradient_checkpointing": False,
    "report_to": "none",
}
LORA: dict[str, Any] = {"use_peft": True, "lora_r": 8, "lora_target_modules": "all-linear", "lora_dropout": 0.0}


def pairs() -> Iterator[dict[str, Any]]:
    for row in json.loads((DATA / "llamafactory-demos" / "dpo_en_demo.json").read_text()):
        asked = [turn for turn in row["conversations"] if turn["from"] == "human"]
        if len(asked[0]["value"]) < 150:
            yield {
                "prompt": [{"role": "user", "content": asked[0]["value"]}],
                "chosen": [{"role": "assistant", "content": row["chosen"]["value"]}],
                "rejected": [{"role": "assistant", "content": row["rejected"]["value"]}],
            }


def judged() -> Iterator[dict[str, Any]]:
    for row in json.loads((DATA / "llamafactory-demos" / "kto_en_demo.json").read_text()):
        if sum(len(turn["content"]) for turn in row["messages"][:-1]) < 150:
            yield row


def texts() -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / "corpora" / "python-docs" / "python311-docs.jsonl.gz", "rt") as file:
        for line in file:
            yield {"text": json.loads(line)["text"][:240]}


TASKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "cpt": (texts, {"learning_rate": 1e-4}),  # all weights; the others learn adapters, for the suite's time
    "dpo": (pairs, {"learning_rate": 1e-3, **LORA}),
    "orpo": (pairs, {"learning_rate": 1e-3, **LORA}),
    "kto": (judged, {"learning_rate": 1e-3, "beta": 0.5, **LORA}),
    "reward": (pairs, {"learning_rate": 1e-3, "max_length": 512, **LORA}),  # rows that are longer are left out
}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    if not DATA.is_dir():
        pytest.skip("needs the real data sets (ALIGN_SHARED_DATA)")
    name: str = request.param
    return name


def test_a_task_learns_stops_goes_on_and_is_read_by_plain_transformers(task: str, train_task: TrainTask, smollm2: Path):
    make, values = TASKS[task]
    rows = list(itertools.islice(make(), ROWS))
    chosen = {"model_name_or_path": str(smollm2), **SETTINGS, **values}

    whole = train_task(task, rows, output_dir="whole", **chosen)
    with pytest.raises(Interrupted):
        train_task(task, rows, stop_at=STOP, **chosen)
    resumed = train_task(task, rows, **chosen)

    losses = losses_of(whole)
    assert sum(losses[-2:]) < sum(losses[:2])
    assert (
        json.loads((resumed / "align" / "manifest.json").read_text())["facts"]["resumed_from"] == f"checkpoint-{STOP}"
    )
    assert curve(resumed) == curve(whole)
    saved = "adapter_model.safetensors" if "use_peft" in values else "model.safetensors"
    assert (resumed / saved).read_bytes() == (whole / saved).read_bytes()
    _reads_and_differs(task, whole, smollm2)


def _reads_and_differs(task: str, run: Path, base: Path) -> None:
    """Plain transformers, or peft, opens the run; it no longer says, or scores, what its base does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run)
    asked = tokenizer("The first thing to know about it is", return_tensors="pt")
    if task == "reward":
        from peft import PeftModel

        bare = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
        bare.config.pad_token_id = tokenizer.pad_token_id
        scored = PeftModel.from_pretrained(bare, run)
        with torch.no_grad():
            with scored.disable_adapter():
                before = float(scored(**asked).logits)
            after = float(scored(**asked).logits)
        assert math.isfinite(after)
        assert after != before
        return
    model = AutoModelForCausalLM.from_pretrained(run)  # of an adapter's folder, its base with the adapter
    words = {}
    for name, one in (("after", model), ("before", AutoModelForCausalLM.from_pretrained(base))):
        made = one.generate(**asked, max_new_tokens=24, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        words[name] = tokenizer.decode(made[0])
    assert words["after"] != words["before"]


def test_dpo_begins_at_ln_2_with_rewards_of_zero_and_an_adapter_finds_the_references_of_a_full_run(
    train_task: TrainTask, smollm2: Path
):
    if not DATA.is_dir():
        pytest.skip("needs the real data sets (ALIGN_SHARED_DATA)")
    rows = list(itertools.islice(pairs(), ROWS))
    chosen = {"model_name_or_path": str(smollm2), **SETTINGS, "max_steps": 1}
    said: list[str] = []

    full = train_task("dpo", rows, output_dir="full", **chosen)
    adapter = train_task("dpo", rows, say=said.append, beta=0.5, loss_type="ipo", **chosen, **LORA)
    logistic = train_task("dpo", rows, output_dir="logistic", **chosen, **LORA)

    assert losses_of(full)[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses_of(logistic)[0] == pytest.approx(math.log(2), abs=1e-5)
    told = [line for line in said if line.startswith(("reference:", "warning:"))]
    assert told == ["reference: the log-probabilities of all 2 rows are stored from before"]
    for run in (full, adapter, logistic):
        seen = json.loads((run / "align" / "manifest.json").read_text())["facts"]["first_step"]
        assert seen["rewards"] == pytest.approx([0, 0], abs=1e-4)
        assert seen["drift_per_token"] < 1e-6
