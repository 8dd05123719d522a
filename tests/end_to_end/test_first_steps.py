"""Losses and metrics of every preference task are those of TRL's own trainer on the same rows, step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.end_to_end.conftest import TrainTask, curve, losses_of

pytestmark = pytest.mark.slow

PAIRS = [
    {
        "prompt": [{"role": "user", "content": f"What is {n} times {n + 1}?" + " Think." * (n % 5)}],
        "chosen": [{"role": "assistant", "content": f"{n} times {n + 1} is {n * (n + 1)}." * (1 + n % 3)}],
        "rejected": [{"role": "assistant", "content": f"{n} times {n + 1} is unknown to me." * (1 + n % 2)}],
    }
    for n in range(16)
]
JUDGED = [
    {"prompt": row["prompt"], "completion": row["chosen" if n % 2 else "rejected"], "label": bool(n % 2)}
    for n, row in enumerate(PAIRS)
]
SETTINGS: dict[str, Any] = {
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "max_steps": 4,
    "logging_steps": 1,
    "max_length": 128,
    "save_strategy": "no",
    "gradient_checkpointing": False,
    "report_to": "none",
}


def trl(trainer: Any, config: Any, model: Path, rows: list[dict[str, Any]], folder: Path, **values: Any) -> list[Any]:
    """Everything that TRL's trainer logs when it does all the work itself."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    args = config(output_dir=str(folder), bf16=False, disable_tqdm=True, **SETTINGS | values)
    ran = trainer(
        str(model), args=args, train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model),
    )  # fmt: skip
    ran.train()
    return [entry for entry in ran.state.log_history if "train_runtime" not in entry]


def assert_alike(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], besides: set[str] = frozenset()) -> None:
    """The first step to 1e-5; the others as far as rounding carries through the optimiser."""
    ours = [entry for entry in ours if "train_loss" not in entry]
    assert len(ours) == len(theirs) == SETTINGS["max_steps"]
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        for key in sorted(set(other) - besides):
            slack = 1e-5 if number == 0 else 1e-3
            assert mine[key] == pytest.approx(other[key], abs=slack, rel=slack), (key, number)


@pytest.mark.parametrize(
    "loss",
    [
        "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
        "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
    ],
)  # fmt: skip
def test_every_dpo_loss_is_trls(loss: str, train_task: TrainTask, tiny: Path, tmp_path: Path):
    from trl import DPOConfig, DPOTrainer

    extra = {"label_smoothing": 0.1} if loss in ("exo_pair", "robust") else {}

    run = train_task("dpo", PAIRS, model_name_or_path=str(tiny), loss_type=loss, **SETTINGS | extra)

    theirs = trl(DPOTrainer, DPOConfig, tiny, PAIRS, tmp_path / "trl", loss_type=[loss], **extra)
    assert_alike(curve(run), theirs)


@pytest.mark.parametrize(
    "values",
    [
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]},
        {"ld_alpha": 0.5},
        {"f_divergence_type": "js_divergence"},
        {"use_weighting": True},
        {"sync_ref_model": True, "ref_model_sync_steps": 2},
        {"max_length": 60},
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2},
    ],
    ids=lambda values: next(iter(values)),
)
def test_dpo_with_other_settings_is_trls(values: dict[str, Any], train_task: TrainTask, tiny: Path, tmp_path: Path):
    from trl import DPOConfig, DPOTrainer

    run = train_task("dpo", PAIRS, model_name_or_path=str(tiny), **SETTINGS | values)

    assert_alike(curve(run), trl(DPOTrainer, DPOConfig, tiny, PAIRS, tmp_path / "trl", **values))


@pytest.mark.parametrize("loss", ["kto", "apo_zero_unpaired"])
def test_every_kto_loss_is_trls(loss: str, train_task: TrainTask, tiny: Path, tmp_path: Path):
    from trl import KTOConfig, KTOTrainer

    run = train_task("kto", JUDGED, model_name_or_path=str(tiny), loss_type=loss, **SETTINGS)

    assert_alike(curve(run), trl(KTOTrainer, KTOConfig, tiny, JUDGED, tmp_path / "trl", loss_type=loss))


def test_the_reward_loss_is_trls(train_task: TrainTask, tiny: Path, tmp_path: Path):
    from trl import RewardConfig, RewardTrainer

    run = train_task("reward", PAIRS, model_name_or_path=str(tiny), center_rewards_coefficient=0.01, **SETTINGS)

    theirs = trl(RewardTrainer, RewardConfig, tiny, PAIRS, tmp_path / "trl", center_rewards_coefficient=0.01)
    assert_alike(curve(run), theirs)


def test_the_orpo_loss_is_trls(train_task: TrainTask, tiny: Path, tmp_path: Path):
    """Upstream puts an EOS after the white space that ends many templates; one without it shows the same."""
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    import shutil

    model = Path(shutil.copytree(tiny, tmp_path / "model"))
    (model / "chat_template.jinja").write_text(template)
    tokens = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**tokens, "pad_token": "<eos>"}))

    run = train_task("orpo", PAIRS, model_name_or_path=str(model), **SETTINGS)

    theirs = trl(ORPOTrainer, ORPOConfig, model, PAIRS, tmp_path / "trl")
    # Their logits are averaged over padding and prompts as well.
    assert_alike(curve(run), theirs, besides={"logits/chosen", "logits/rejected", "epoch", "num_tokens"})


def test_the_real_models_first_step_is_trls(train_task: TrainTask, smollm2: Path, tmp_path: Path):
    from trl import DPOConfig, DPOTrainer

    values = {"max_steps": 2, "learning_rate": 1e-6}

    run = train_task("dpo", PAIRS, model_name_or_path=str(smollm2), **SETTINGS | values)

    theirs = trl(DPOTrainer, DPOConfig, smollm2, PAIRS, tmp_path / "trl", **values)
    assert losses_of(run)[0] == pytest.approx(theirs[0]["loss"], abs=1e-5)
    assert losses_of(run)[1] == pytest.approx(theirs[1]["loss"], abs=1e-4)


@pytest.mark.parametrize(("task", "rows"), [("dpo", PAIRS), ("kto", JUDGED)])
def test_other_rows_do_not_get_the_stored_reference_of_earlier_ones(
    task: str, rows: list[dict[str, Any]], train_task: TrainTask, tiny: Path
):
    chosen = {**SETTINGS, "model_name_or_path": str(tiny), "max_steps": 1}
    train_task(task, rows[::2], output_dir="first", **chosen)
    said: list[str] = []

    run = train_task(task, rows[1::2], output_dir="second", say=said.append, **chosen)

    first = json.loads((run / "align" / "manifest.json").read_text())["facts"]["first_step"]
    assert first["rewards"] == pytest.approx([0] * len(first["rewards"]), abs=1e-4)
    assert not [line for line in said if "stored from before" in line]


@pytest.mark.parametrize(("task", "rows"), [("dpo", PAIRS), ("kto", JUDGED)])
def test_a_reference_that_is_not_the_policy_is_warned_about_before_the_first_step(
    task: str, rows: list[dict[str, Any]], train_task: TrainTask, tiny: Path, workplace: Path
):
    chosen = {**SETTINGS, "model_name_or_path": str(tiny), "max_steps": 1}
    train_task(task, rows, output_dir="first", **chosen)
    for values in (workplace / "cache" / "reference").glob("*/values.f32"):
        (np.fromfile(values, np.float32) - 40).tofile(values)
    said: list[str] = []

    train_task(task, rows, output_dir="second", say=said.append, **chosen)

    assert [line for line in said if line.startswith("warning: policy and reference differ")]
