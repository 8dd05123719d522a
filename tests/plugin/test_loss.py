"""The plugin's loss is the paper's, and its training is what TRL does with that loss."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.end_to_end.conftest import curve
from tests.plugin.conftest import SIMPO, Align

pytestmark = pytest.mark.slow

#: One end of turn and nothing after it: TRL's trainer puts an EOS behind white space that ends a template.
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@pytest.mark.parametrize("kind", ["sigmoid", "hinge"])
def test_the_loss_is_equation_6_in_double_precision(kind: str, simpo: Path, monkeypatch: pytest.MonkeyPatch):
    import torch

    from align_cli.plugins import Answers

    monkeypatch.syspath_prepend(str(simpo))
    from align_simpo.task import loss

    generator = np.random.default_rng(0)
    sums = -generator.gamma(2.0, 20.0, (2, 64))
    tokens = generator.integers(1, 80, (2, 64))
    beta, gamma = 2.5, 1.25
    recipe: Any = SimpleNamespace(get={"beta": beta, "simpo_gamma": gamma, "loss_type": kind}.get)

    found = loss(Answers(*map(torch.tensor, (*sums.astype(np.float32), *tokens))), recipe)

    chosen, rejected = beta * sums / tokens
    ahead = chosen - rejected - gamma
    expected = np.maximum(0, -ahead) if kind == "hinge" else np.log1p(np.exp(-ahead))
    np.testing.assert_allclose(found.losses.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.chosen_rewards.numpy(), chosen, rtol=1e-6)
    np.testing.assert_array_equal(found.metrics["simpo/beyond_margin"].numpy(), ahead > 0)
    sys.modules.pop("align_simpo.task")
    sys.modules.pop("align_simpo")


@pytest.mark.parametrize(
    "words",
    [(), ("gradient_accumulation_steps=2", "per_device_train_batch_size=2"), ("use_peft=true", "lora_r=4")],
    ids=["plain", "accumulated", "lora"],
)
def test_every_step_is_trls_with_the_same_loss(
    words: tuple[str, ...], run: Align, simpo: Path, tiny: Path, place: Path
):
    """TRL has SimPO as one of CPO's losses; without CPO's own term the two are the same."""
    model = _model(tiny, place / "model")
    settings = ("max_steps=4", "learning_rate=1e-2", "save_strategy=no", "eval_strategy=no", "mixture.held_out=null")
    shuffled = ("mixture.combine=trl", "lr_scheduler_type=constant")

    done = run(simpo, "train", "simpo", "simpo.yaml", f"model_name_or_path={model}", *settings, *shuffled, *words)
    assert done.code == 0, done.err

    ours = [line for line in curve(place / "out") if "train_loss" not in line]
    theirs = _trl(model, place, dict(word.split("=") for word in words))
    assert len(ours) == len(theirs) == 4
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        slack = 1e-5 if number == 0 else 1e-3
        for key in ("loss", "grad_norm", "rewards/chosen", "rewards/rejected", "rewards/margins"):
            assert mine[key] == pytest.approx(other[key], abs=slack, rel=slack), (key, number)


def _model(tiny: Path, target: Path) -> Path:
    model = Path(shutil.copytree(tiny, target))
    (model / "chat_template.jinja").write_text(TEMPLATE)
    tokens = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**tokens, "pad_token": "<eos>"}))
    return model


def _trl(model: Path, place: Path, words: dict[str, str]) -> list[dict[str, float]]:
    """What TRL's own trainer logs on the same rows."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    adapter = None
    if words.pop("use_peft", None):
        from peft import LoraConfig

        adapter = LoraConfig(task_type="CAUSAL_LM", r=int(words.pop("lora_r")), lora_alpha=32, lora_dropout=0.05)
    sizes = {"per_device_train_batch_size": 4} | {key: int(value) for key, value in words.items()}
    args = CPOConfig(
        output_dir=str(place / "trl"), loss_type="simpo", beta=2.5, simpo_gamma=1.25, cpo_alpha=0.0, max_steps=4,
        learning_rate=1e-2, max_length=256, logging_steps=1, save_strategy="no", gradient_checkpointing=False,
        bf16=False, report_to="none", disable_tqdm=True, lr_scheduler_type="constant", **sizes,
    )  # fmt: skip
    rows = [json.loads(line) for line in (SIMPO / "pairs.jsonl").read_text().splitlines()]
    trainer = CPOTrainer(
        AutoModelForCausalLM.from_pretrained(model), args=args, train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model), peft_config=adapter,
    )  # fmt: skip
    trainer.train()
    return [entry for entry in trainer.state.log_history if "train_runtime" not in entry]
