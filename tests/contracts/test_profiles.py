"""What decided a training of old where its recipe was silent, read in the sources of that day's releases.

2023: trl 0.9.6 over transformers 4.43.4, with the overrides of the Handbook's own config classes.
2025: trl 0.19.1 over transformers 4.53.3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from align_cli import registry
from align_cli.recipe.load import load
from align_cli.recipe.schema import Recipe

OLD = "dataset_mixer: {a/b: 1.0}\n"
NEW = "dataset_mixture: {datasets: [{id: a/b}]}\n"

#: transformers' own, and the model's, in all of those years.
ALWAYS = {
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "bnb_4bit_quant_type": "nf4",
    "data_seed": None,
    "dataloader_drop_last": False,
    "dtype": "float32",
    "eval_strategy": "no",
    "fp16": False,
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": False,
    "label_smoothing_factor": 0.0,
    "load_in_4bit": False,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "lora_r": 16,
    "lora_target_modules": None,
    "lr_scheduler_type": "linear",
    "max_grad_norm": 1.0,
    "max_steps": -1,
    "neftune_noise_alpha": None,
    "num_train_epochs": 3.0,
    "per_device_eval_batch_size": 8,
    "per_device_train_batch_size": 8,
    "save_steps": 500,
    "save_strategy": "steps",
    "seed": 42,
    "use_bnb_nested_quant": False,
    "use_peft": False,
    "warmup_steps": 0,
    "weight_decay": 0.0,
}
OF_2023: dict[str, dict[str, Any]] = {
    "all": {
        "average_tokens_across_devices": False,
        "bf16": False,
        "learning_rate": 5e-5,
        "logging_first_step": True,
        "logging_steps": 500,
        "optim": "adamw_torch",
    },
    "sft": {"max_length": 1024, "packing": True, "packing_strategy": "wrapped", "auto_insert_empty_system_msg": True},
    "cpt": {"max_length": 1024, "packing": True, "packing_strategy": "wrapped", "dataset_text_field": "text"},
    "dpo": {
        "auto_insert_empty_system_msg": True,
        "beta": 0.1,
        "disable_dropout": True,
        "label_smoothing": 0.0,
        "loss_type": ["sigmoid"],
        "max_length": 512,
        "max_prompt_length": 128,
        "optim": "rmsprop",
        "precompute_ref_log_probs": False,
        "ref_model_mixup_alpha": 0.9,
        "ref_model_sync_steps": 64,
        "sync_ref_model": False,
        "truncation_mode": "keep_end",
        "truncation_side": "left",
    },
    "orpo": {
        "auto_insert_empty_system_msg": True,
        "beta": 0.1,
        "disable_dropout": True,
        "logging_first_step": False,
        "max_length": 512,
        "max_prompt_length": 128,
        "truncation_side": "left",
    },
}
OF_2025: dict[str, dict[str, Any]] = {
    "all": {"bf16": None, "logging_first_step": False, "logging_steps": 10, "optim": "adamw_torch"},
    "sft": {
        "assistant_only_loss": False,
        "auto_insert_empty_system_msg": False,
        "average_tokens_across_devices": True,
        "completion_only_loss": None,
        "eval_packing": None,
        "learning_rate": 2e-5,
        "max_length": 1024,
        "packing": False,
        "padding_free": False,
    },
    "dpo": {
        "average_tokens_across_devices": False,
        "beta": 0.1,
        "disable_dropout": True,
        "f_divergence_type": "reverse_kl",
        "label_smoothing": 0.0,
        "learning_rate": 1e-6,
        "loss_type": ["sigmoid"],
        "max_length": 1024,
        "max_prompt_length": 512,
        "precompute_ref_log_probs": False,
        "ref_model_mixup_alpha": 0.6,
        "ref_model_sync_steps": 512,
        "sync_ref_model": False,
        "truncation_mode": "keep_end",
        "use_weighting": False,
    },
    "orpo": {
        "average_tokens_across_devices": False,
        "beta": 0.1,
        "disable_dropout": True,
        "learning_rate": 1e-6,
        "max_length": 1024,
        "max_prompt_length": 512,
    },
}


def silent(text: str, name: str, folder: Path) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(f"model_name_or_path: m\n{text}")
    return load([str(path)], registry.get(registry.TASKS, name))


@pytest.mark.parametrize(
    ("text", "defaults", "name"),
    [
        *((OLD, OF_2023, name) for name in ("sft", "cpt", "dpo", "orpo")),
        *((NEW, OF_2025, name) for name in ("sft", "dpo", "orpo")),
    ],
)
def test_a_silent_recipe_has_the_values_of_its_own_year(
    tmp_path: Path, text: str, defaults: dict[str, dict[str, Any]], name: str
) -> None:
    recipe = silent(text, name, tmp_path)
    expected = {**ALWAYS, **defaults["all"], **defaults[name]}

    absent = object()
    found = {key: recipe.get(key, absent) for key in expected}
    loss = found.get("loss_type")
    if isinstance(loss, str):
        found["loss_type"] = [loss]

    unlike = {key: (value, expected[key]) for key, value in found.items() if value != expected[key]}
    assert unlike == {}
