from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import Problem, RecipeError
from align_cli.recipe import mixtures, renames
from align_cli.recipe.fields import fields_of
from align_cli.recipe.load import BLOCKS, load
from align_cli.tasks import dpo
from tests.recipe.conftest import LEAST, Write, task

One = Callable[..., Problem]

#: Words of the Alignment Handbook's recipes that no installed config knows: (task, line, what it becomes).
RECIPE_WORDS: list[tuple[str, str, dict[str, Any]]] = [
    ("sft", "torch_dtype: bfloat16", {"dtype": "bfloat16"}),
    ("dpo", "torch_dtype: null", {"dtype": "float32"}),
    ("sft", "torch_dtype: auto", {"dtype": "auto"}),
    ("sft", "use_flash_attention_2: true", {"attn_implementation": "flash_attention_2"}),
    ("sft", "use_flash_attention_2: false", {}),
    ("sft", "evaluation_strategy: 'no'", {"eval_strategy": "no"}),
    ("sft", "warmup_ratio: 0.1", {"warmup_steps": 0.1}),
    ("sft", "warmup_ratio: 0.0", {"warmup_steps": 0}),
    ("sft", "warmup_ratio: 0.1\nwarmup_steps: 7", {"warmup_steps": 7}),
    ("sft", "warmup_ratio: 0.1\nwarmup_steps: 0", {"warmup_steps": 0.1}),
    ("sft", "overwrite_output_dir: true", {}),
    ("sft", "max_seq_length: 2048", {"max_length": 2048}),
    ("sft", "preprocessing_num_workers: 12", {"dataset_num_proc": 12}),
    ("sft", "text_column: content", {"dataset_text_field": "content"}),
    ("dpo", "hub_model_revision: v1", {}),
    ("dpo", "push_to_hub_revision: true", {}),
    ("sft", "push_to_hub_model_id: me/x\npush_to_hub: true", {"hub_model_id": "me/x", "push_to_hub": True}),
    ("dpo", "max_source_length: 3", {}),
    ("sft", "block_size: 3", {}),
    ("sft", "task_type: CASUAL_LM\nuse_peft: true", {"lora_task_type": "CAUSAL_LM", "use_peft": True}),
    ("dpo", "rpo_alpha: 0.5", {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]}),
    ("sft", "group_by_length: true", {"train_sampling_strategy": "group_by_length"}),
    ("sft", "no_cuda: true", {"use_cpu": True}),
    ("sft", "use_liger: true", {"use_liger_kernel": True}),
    ("sft", "per_gpu_train_batch_size: 2", {"per_device_train_batch_size": 2}),
    ("sft", "adafactor: true", {"optim": "adafactor"}),
    ("sft", "split_batches: true", {"accelerator_config": {"split_batches": True}}),
    ("sft", "fsdp_min_num_params: 5", {"fsdp_config": {"min_num_params": 5}}),
    (
        "sft",
        "gradient_checkpointing_use_reentrant: false",
        {"gradient_checkpointing_kwargs": {"use_reentrant": False}},
    ),
    ("sft", "packing_strategy: ffd", {"packing_strategy": "bfd"}),
    ("dpo", "loss_type: aot_pair", {"loss_type": ["aot_unpaired"]}),
    ("dpo", "padding_free: true", {"padding_free": True}),
    ("sft", "optim: adamw_hf", {"optim": "adamw_torch"}),
    ("sft", "torch_dtype: torch.float32", {"dtype": "float32"}),
    ("sft", "report_to: []", {"report_to": "none"}),
]


@pytest.mark.parametrize(("name", "lines", "expected"), RECIPE_WORDS)
def test_an_old_word_is_translated_with_one_note(
    recipe: Write, name: str, lines: str, expected: dict[str, Any]
) -> None:
    word = lines.partition(":")[0]

    loaded = recipe(lines + "\n", name=name)

    chosen = {key: value for key, value in loaded.values.items() if loaded.origins[key].kind == "file"}
    del chosen["model_name_or_path"]
    assert chosen == expected
    if word in renames.table():
        assert [note.key for note in loaded.notes].count(word) == 1
        assert str(next(note for note in loaded.notes if note.key == word).where) == "recipe.yaml:5"
    else:
        assert loaded.notes


def test_trackers_settings_become_environment_variables(recipe: Write) -> None:
    loaded = recipe("wandb_entity: e\nwandb_project: p\nwandb_run_group: g\nwandb_run_id: null\nwandb_tags: [a, b]\n")

    assert loaded.env == {
        "WANDB_ENTITY": "e",
        "WANDB_PROJECT": "p",
        "WANDB_RUN_GROUP": "g",
        "WANDB_TAGS": "a,b",
    }


def test_two_words_for_one_thing_that_differ_are_a_problem(problem: One) -> None:
    found = problem("max_seq_length: 5\nmax_length: 6\n")

    assert "two words for one thing" in found.message
    assert found.where == "recipe.yaml:5"


def test_two_words_that_agree_are_fine(recipe: Write) -> None:
    assert recipe("text_column: messages\ndataset_text_field: messages\n").values["dataset_text_field"] == "messages"


def test_a_warmup_ratio_that_is_a_number_of_steps_is_a_problem(problem: One) -> None:
    assert "warmup_steps" in problem("warmup_ratio: 100\n").hint


def test_another_method_is_not_trained_in_place_of_a_reference_free_one(problem: One, recipe: Write) -> None:
    found = problem("reference_free: true\n", name="dpo")

    assert (found.where, "another method" in found.message) == ("recipe.yaml:5", True)
    assert "orpo" in found.hint
    for line, name in (("reference_free: false\n", "dpo"), ("reference_free: true\n", "orpo")):
        assert "is ignored" in str(recipe(line, name=name).notes)


@pytest.mark.parametrize("word", ["ref_model", "reference_model", "ref_model_name_or_path"])
def test_a_reference_model_is_pointed_to_or_denied(problem: One, word: str, here: Path) -> None:
    assert problem(f"{word}: x\n", name="orpo").hint == "orpo has no reference model"
    if word != "ref_model_name_or_path":
        (here / "r.yaml").write_text(LEAST + f"{word}: x\n")
        with pytest.raises(RecipeError, match="a problem") as caught:
            load(["r.yaml"], dpo.TASK)
        assert "ref_model_name_or_path is what it is called here" in str(caught.value.problems)


def test_a_word_that_is_a_field_of_the_task_is_not_old(recipe: Write) -> None:
    assert recipe("max_completion_length: 9\n", name="orpo").values["max_completion_length"] == 9
    assert "max_completion_length" not in recipe("max_completion_length: 9\n", name="dpo").values


def test_every_target_of_the_table_is_a_key_of_some_task() -> None:
    known = {key for name in ("sft", "dpo", "orpo") for key in fields_of(task(name).configs)} | mixtures.DATA_KEYS
    targets = [entry.new or entry.into.partition(".")[0] for entry in renames.table().values()]

    assert {target for target in targets if target} <= known | set(renames.table())
    assert len(renames.table()) >= 60


def test_no_key_of_the_table_is_known_to_every_task() -> None:
    common = set.intersection(*(set(fields_of(task(name).configs)) for name in ("sft", "dpo", "orpo")))

    assert not common & set(renames.table())


def test_every_suggested_word_exists() -> None:
    known = {key for name in ("sft", "dpo", "orpo") for key in fields_of(task(name).configs)} | mixtures.DATA_KEYS
    known |= set(fields_of(("align_cli.recipe.schema:ReferenceFields",)))
    meant = {word.partition(".")[0] for words in renames._words().values() for word in words}

    assert {word for word in meant if not word.startswith("--")} <= known | BLOCKS
    assert not set(renames._words()) & known
    assert not set(renames._words()) & set(renames.table())
