"""Every word and value that recipes of the Alignment Handbook may hold, and what it is today: facts, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from align_cli import registry
from align_cli.errors import RecipeError
from align_cli.recipe.load import load
from align_cli.recipe.schema import Recipe

MODEL = "model_name_or_path: some/model\n"
DATA = "dataset_mixer: {some/data: 1.0}\ndataset_splits: [train, test]\n"

#: The 27 keys that recipes used and upstream has no longer: (task, lines, today's key, its value); None: nothing.
USED: list[tuple[str, str, str | None, Any]] = [
    ("sft", "torch_dtype: bfloat16", "dtype", "bfloat16"),
    ("sft", "torch_dtype: null", "dtype", "float32"),
    ("dpo", "torch_dtype: auto", "dtype", "auto"),
    ("sft", "use_flash_attention_2: true", "attn_implementation", "flash_attention_2"),
    ("sft", "use_flash_attention_2: false", None, None),
    ("dpo", 'evaluation_strategy: "steps"', "eval_strategy", "steps"),
    ("sft", "warmup_ratio: 0.1", "warmup_steps", 0.1),
    ("sft", "warmup_ratio: 0.0", "warmup_steps", 0),
    ("sft", "overwrite_output_dir: true", None, None),
    ("sft", "max_seq_length: 2048", "max_length", 2048),
    ("dpo", "max_prompt_length: 256", "max_prompt_length", 256),
    ("orpo", "max_prompt_length: 384", "max_prompt_length", 384),
    ("sft", "preprocessing_num_workers: 12", "dataset_num_proc", 12),
    ("sft", "chat_template: '{{ messages }}'", "chat_template", "{{ messages }}"),
    ("orpo", "auto_insert_empty_system_msg: false", "auto_insert_empty_system_msg", False),
    ("sft", "tokenizer_name_or_path: some/tokenizer", "tokenizer_name_or_path", "some/tokenizer"),
    ("cpt", "text_column: content", "dataset_text_field", "content"),
    ("dpo", "hub_model_revision: v1.0", None, None),
    ("dpo", "push_to_hub_revision: true", None, None),
    ("sft", "push_to_hub_model_id: some-model", "hub_model_id", "some-model"),
    ("sft", "wandb_entity: team", "env WANDB_ENTITY", "team"),
    ("sft", "wandb_project: project", "env WANDB_PROJECT", "project"),
    ("sft", "wandb_run_group: group", "env WANDB_RUN_GROUP", "group"),
    ("sft", "wandb_run_id: null", None, None),
    ("sft", "wandb_tags: [x, y]", "env WANDB_TAGS", "x,y"),
    ("dpo", "max_source_length: 1024", None, None),
    ("sft", "block_size: 2048", None, None),
    ("sft", "task_type: CASUAL_LM", "lora_task_type", "CAUSAL_LM"),
]

#: Keys that the Handbook's config classes accepted and no recipe used.
ACCEPTED: list[tuple[str, str, str | None, Any]] = [
    ("sft", "base_model_revision: main", "base_model_revision", "main"),
    ("sft", "model_code_revision: main", None, None),
    ("dpo", "truncation_side: left", "truncation_side", "left"),
    ("sft", "max_train_samples: 10", "max_train_samples", 10),
    ("sft", "max_eval_samples: 10", "max_eval_samples", 10),
    ("sft", "lora_modules_to_save: [lm_head]\nuse_peft: true", "lora_modules_to_save", ["lm_head"]),
    ("dpo", "ref_model_init_kwargs: {}", None, None),
    ("dpo", "max_completion_length: 512", None, None),
    ("orpo", "max_completion_length: 512", "max_completion_length", 512),
    ("dpo", "max_target_length: 512", None, None),
    ("dpo", "label_pad_token_id: -100", None, None),
    ("dpo", "padding_value: 0", None, None),
    ("dpo", "is_encoder_decoder: false", None, None),
    ("dpo", "generate_during_eval: false", None, None),
    ("dpo", "reference_free: false", None, None),
    ("dpo", "rpo_alpha: 1.0", "loss_type", ["sigmoid", "sft"]),
    ("dpo", "force_use_ref_model: true", None, None),
    ("dpo", "ref_adapter_name: a", None, None),
    ("dpo", "model_adapter_name: a", None, None),
    ("dpo", "use_logits_to_keep: true", None, None),
    ("dpo", "use_num_logits_to_keep: true", None, None),
    ("orpo", "truncation_mode: keep_end", "truncation_side", "left"),
    ("sft", "gradient_checkpointing_use_reentrant: false", "gradient_checkpointing_kwargs", {"use_reentrant": False}),
    ("sft", "num_of_sequences: 1024", None, None),
    ("sft", "chars_per_token: 3.6", None, None),
    ("sft", "eval_packing: false", "eval_packing", False),
    ("sft", "dataset_batch_size: 1000", None, None),
    ("sft", "tokenizer_kwargs: {use_fast: true}", None, None),
    ("sft", "save_safetensors: true", None, None),
    ("sft", "logging_dir: logs", "env TENSORBOARD_LOGGING_DIR", "logs"),
    ("sft", "group_by_length: true", "train_sampling_strategy", "group_by_length"),
    ("sft", "no_cuda: true", "use_cpu", True),
    ("sft", "use_mps_device: true", None, None),
    ("sft", "push_to_hub_token: hf_secret", "env HF_TOKEN", "hf_secret"),
    ("sft", "use_liger: true", "use_liger_kernel", True),
    ("sft", "per_gpu_train_batch_size: 4", "per_device_train_batch_size", 4),
    ("sft", "per_gpu_eval_batch_size: 4", "per_device_eval_batch_size", 4),
    ("sft", "adafactor: true", "optim", "adafactor"),
    ("sft", "fp16_backend: auto", None, None),
    ("sft", "half_precision_backend: auto", None, None),
    ("sft", "jit_mode_eval: false", None, None),
    ("sft", "torchdynamo: inductor", "torch_compile_backend", "inductor"),
    ("sft", "include_inputs_for_metrics: true", "include_for_metrics", ["inputs"]),
    ("sft", "dispatch_batches: true", "accelerator_config", {"dispatch_batches": True}),
    ("sft", "split_batches: true", "accelerator_config", {"split_batches": True}),
    ("sft", "fsdp_min_num_params: 100", "fsdp_config", {"min_num_params": 100}),
    (
        "sft",
        "fsdp_transformer_layer_cls_to_wrap: Layer",
        "fsdp_config",
        {"transformer_layer_cls_to_wrap": "Layer"},
    ),
    ("sft", "past_index: -1", None, None),
    ("sft", "ray_scope: last", None, None),
    ("sft", 'mp_parameters: ""', None, None),
]

#: Values whose meaning or spelling changed under the same key.
CHANGED: list[tuple[str, str, str, Any]] = [
    ("sft", "packing: true\npacking_strategy: ffd", "packing_strategy", "bfd"),
    ("dpo", "loss_type: sigmoid", "loss_type", ["sigmoid"]),
    ("dpo", "loss_type: aot_pair", "loss_type", ["aot_unpaired"]),
    ("dpo", "loss_type: aot", "loss_type", ["aot"]),
    ("dpo", "loss_type: kto_pair", "loss_type", ["kto_pair"]),
    ("sft", "report_to: []", "report_to", "none"),
    ("sft", "report_to: [tensorboard, wandb]", "report_to", ["tensorboard", "wandb"]),
    ("sft", "trust_remote_code: true", "trust_remote_code", True),
]

#: What YAML 1.1 reads otherwise than people write it.
READ: list[tuple[str, str, str, Any]] = [
    ("dpo", "learning_rate: 5e-7", "learning_rate", 5e-7),
    ("dpo", 'learning_rate: "5e-7"', "learning_rate", 5e-7),
    ("sft", "evaluation_strategy: no", "eval_strategy", "no"),
    ("sft", "save_strategy: no", "save_strategy", "no"),
    ("sft", "save_strategy: 'no'", "save_strategy", "no"),
    ("sft", "gradient_checkpointing: False", "gradient_checkpointing", False),
    ("sft", "push_to_hub: True", "push_to_hub", True),
    ("sft", "save_steps: 0.05", "save_steps", 0.05),
    ("orpo", "warmup_steps: 0.1", "warmup_steps", 0.1),
    ("sft", "max_steps: -1", "max_steps", -1),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(task: str, lines: str, *words: str, name: str = "recipe.yaml") -> Recipe:
    Path(name).write_text(MODEL + DATA + lines + "\n", encoding="utf-8")
    return load([name, *words], registry.get(registry.TASKS, task))


def value_of(recipe: Recipe, key: str) -> Any:
    return recipe.env[key.removeprefix("env ")] if key.startswith("env ") else recipe.values[key]


def test_the_tables_hold_every_word() -> None:
    used = {line.partition(":")[0] for _, line, _, _ in USED} | {"dataset_mixer", "dataset_splits", "dataset_configs"}

    assert len(used - {"max_prompt_length"} | {"dataset_mixture", "max_prompt_length"}) >= 27
    assert len(ACCEPTED) >= 48


@pytest.mark.parametrize(("task", "lines", "key", "value"), USED + ACCEPTED)
def test_an_old_word_becomes_today_s(task: str, lines: str, key: str | None, value: Any) -> None:
    loaded = read(task, lines)

    if key is not None:
        assert value_of(loaded, key) == value


@pytest.mark.parametrize(("task", "lines", "key", "value"), USED + ACCEPTED)
def test_an_old_word_is_noted_once(task: str, lines: str, key: str | None, value: Any) -> None:
    word = lines.partition(":")[0]

    said = [note.message for note in read(task, lines).notes if note.key == word]

    assert len(said) == (0 if word == key else 1)


@pytest.mark.parametrize(("task", "lines", "key", "value"), CHANGED + READ)
def test_a_value_is_what_its_author_meant(task: str, lines: str, key: str, value: Any) -> None:
    assert value_of(read(task, lines), key) == value


def test_names_of_the_old_readme_work(here: Path) -> None:
    (here / "recipe.yaml").write_text(MODEL + "datasets_mixer: {some/data: 0.5}\ndataset_splits: [train, test]\n")

    loaded = load(["recipe.yaml"], registry.get(registry.TASKS, "sft"))

    assert (loaded.profile, loaded.mixture.sources[0].fraction) == ("handbook-2023", 0.5)


#: The command lines of every era, after the script's name.
COMMAND_LINES = [
    ["recipe.yaml", "--learning_rate=1e-5", "--load_in_4bit=false"],
    ["--config", "recipe.yaml", "--learning_rate", "1e-5", "--load_in_4bit", "false"],
    ["--config=recipe.yaml", "--learning_rate=1e-5", "--no_load_in_4bit"],
    ["--learning_rate", "1e-5", "--config", "recipe.yaml", "--load_in_4bit=False"],
    ["recipe.yaml", "learning_rate=1e-5", "load_in_4bit=False"],
    ["--config", "recipe.yaml", "--learning_rate=1e-5", "--no-load-in-4bit"],
]


@pytest.mark.parametrize("words", COMMAND_LINES)
def test_every_command_line_of_the_handbook_is_understood(here: Path, words: list[str]) -> None:
    (here / "recipe.yaml").write_text(MODEL + DATA + "use_peft: true\nload_in_4bit: true\nlearning_rate: 2e-4\n")

    loaded = load(words, registry.get(registry.TASKS, "sft"))

    assert (loaded.values["learning_rate"], loaded.values["load_in_4bit"]) == (1e-5, False)


def test_a_bare_flag_is_true(here: Path) -> None:
    loaded = read("sft", "use_peft: false", "--use_peft", "--lora_r=8")

    assert (loaded.values["use_peft"], loaded.values["lora_r"]) == (True, 8)


def test_a_value_may_hold_an_equals_sign(here: Path) -> None:
    assert read("sft", "", "--run_name=a=b").values["run_name"] == "a=b"


def test_old_words_are_understood_on_the_command_line(here: Path) -> None:
    loaded = read("sft", "max_seq_length: 2048\nwarmup_ratio: 0.1", "--max_seq_length=512", "--warmup_ratio=0.2")

    assert (loaded.values["max_length"], loaded.values["warmup_steps"]) == (512, 0.2)


def test_an_unknown_word_on_the_command_line_is_an_error_with_a_suggestion(here: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        read("sft", "", "--learning_rat=1")

    assert caught.value.problems[0].hint == "did you mean learning_rate?"


@pytest.mark.parametrize("name", ["recipe.yml", "recipe.yaml", "recipe"])
def test_the_file_may_have_any_extension(here: Path, name: str) -> None:
    assert read("sft", "seed: 7", name=name).values["seed"] == 7
