from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from align_cli.errors import Problem
from align_cli.recipe import profiles
from align_cli.recipe.fields import fields_of
from align_cli.recipe.schema import Clean
from tests.recipe.conftest import Write, task

MODEL = "model_name_or_path: m\n"
OLD = MODEL + "dataset_mixer: {a/b: 1.0}\ndataset_splits: [train, test]\n"
NEW = MODEL + "dataset_mixture: {datasets: [{id: a/b}]}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MODEL + "mixture: a\n", "align"),
        (MODEL + "mixture: a\nuse_flash_attention_2: true\n", "align"),
        (OLD, "handbook-2023"),
        (NEW, "handbook-2025"),
        (MODEL + "datasets: [a]\n", "trl"),
        (MODEL + "dataset_name: a\n", "trl"),
    ],
)
def test_the_words_of_the_data_decide(recipe: Write, text: str, expected: str) -> None:
    assert recipe(text, least=False).profile == expected


def test_the_recipe_may_say_and_the_caller_has_the_last_word(recipe: Write) -> None:
    assert recipe("profile: trl\n").profile == "trl"
    assert recipe("profile: trl\n", "profile=align").profile == "align"
    assert recipe("profile: trl\n", profile="handbook-2025").profile == "handbook-2025"


def test_an_unknown_profile_lists_those_there_are(problem: Callable[..., Problem]) -> None:
    found = problem("profile: handbook\n")

    assert "handbook-2023" in found.hint
    assert found.where == "recipe.yaml:5"


def test_sft_of_2023_packs_and_steers_the_tokenisation(recipe: Write) -> None:
    loaded = recipe(OLD, least=False)

    assert loaded.values["packing"] is True
    assert loaded.values["packing_strategy"] == "wrapped"
    assert loaded.values["optim"] == "adamw_torch"
    assert loaded.values["auto_insert_empty_system_msg"] is True
    assert str(loaded.origins["packing"]) == "profile handbook-2023"
    assert loaded.behaviours == {
        "add_special_tokens": True,
        "append_eos": True,
        "chatml_left_alone": "gemma-tokenizer-chatml",
        "chatml_special_tokens": "with a ChatML template",
        "default_chat_template": "zephyr",
        "drop_remainder": True,
        "max_length_within_model": True,
        "packing_buffer": 3.6 * 1024,
    }


def test_a_key_that_says_null_is_silent(recipe: Write) -> None:
    assert recipe(OLD + "max_seq_length: null\n", least=False).values["max_length"] == 1024
    assert recipe(OLD + "max_prompt_length: null\n", name="dpo", least=False).values["max_prompt_length"] == 128


def test_what_the_recipe_says_is_not_restored(recipe: Write) -> None:
    loaded = recipe(OLD + "packing: false\noptim: sgd\n", "max_length=7", least=False)

    assert (loaded.values["packing"], loaded.values["optim"], loaded.values["max_length"]) == (False, "sgd", 7)


def test_dpo_of_2023_uses_rmsprop(recipe: Write) -> None:
    loaded = recipe(OLD, name="dpo", least=False)

    kept = ("optim", "remove_unused_columns", "max_length", "max_prompt_length", "logging_first_step")
    assert [loaded.values[key] for key in kept] == ["rmsprop", False, 512, 128, True]
    assert "packing" not in loaded.values


def test_sft_of_2025_does_not_pack(recipe: Write) -> None:
    loaded = recipe(NEW, least=False)

    assert "packing" not in loaded.values
    assert loaded.values["gradient_checkpointing"] is False
    assert loaded.behaviours == {
        "chatml_special_tokens": "without a template",
        "default_chat_template": "chatml",
    }


def test_preferences_of_2025_have_the_defaults_of_their_trl(recipe: Write) -> None:
    dpo, orpo = (recipe(NEW, name=name, least=False) for name in ("dpo", "orpo"))

    kept = ("max_prompt_length", "truncation_mode", "optim", "average_tokens_across_devices", "f_alpha_divergence_coef")
    assert [dpo.values.get(key) for key in kept] == [512, "keep_end", "adamw_torch", False, 0.0]
    assert [orpo.values.get(key) for key in kept[:1]] == [512]
    assert dpo.get("max_length") == orpo.get("max_length") == 1024


def test_the_coefficient_of_the_alpha_divergence_is_translated(recipe: Write) -> None:
    ratio, old = 1.7, 0.25

    now = recipe(OLD + f"f_alpha_divergence_coef: {old}\n", name="dpo", least=False)

    coefficient = now.values["f_alpha_divergence_coef"]
    assert (1 - ratio**-old) / old == pytest.approx((ratio ** (coefficient - 1) - 1) / (coefficient - 1))
    assert any("the other way round" in note.message for note in now.notes)
    assert recipe(f"f_alpha_divergence_coef: {old}\n", name="dpo").values["f_alpha_divergence_coef"] == old


@pytest.mark.parametrize(
    ("text", "name", "rule"),
    [
        (OLD, "sft", "with a ChatML template"),
        (OLD, "orpo", "with a ChatML template"),
        (OLD, "dpo", None),
        (OLD, "cpt", None),
        (NEW, "sft", "without a template"),
        (NEW, "dpo", None),
        (NEW, "orpo", None),
    ],
)
def test_the_rule_for_chatml_s_tokens_is_its_task_s(recipe: Write, text: str, name: str, rule: str | None) -> None:
    behaviours = recipe(text, name=name, least=False).behaviours

    assert behaviours.get("chatml_special_tokens") == rule
    assert ("chatml_left_alone" in behaviours) == (name == "sft" and text == OLD)


def test_orpo_of_2023_leaves_long_prompts_out_only_where_the_recipe_says_what_is_long(recipe: Write) -> None:
    silent = recipe(OLD, name="orpo", least=False)
    spoken = recipe(OLD + "max_prompt_length: 99\n", name="orpo", least=False)

    assert silent.values["max_prompt_length"] == 128
    assert "drop_long_prompts" not in silent.behaviours
    assert spoken.behaviours["drop_long_prompts"] is True


@pytest.mark.parametrize(("name", "expected"), [("sft", True), ("dpo", True), ("orpo", True), ("cpt", False)])
def test_humaneval_is_left_out_of_conversations_and_preferences_of_2023(
    recipe: Write, name: str, expected: bool
) -> None:
    loaded = recipe(OLD, name=name, least=False)

    assert loaded.mixture.clean.decontaminate_humaneval is expected
    if expected:
        assert str(loaded.origins["mixture.clean.decontaminate_humaneval"]) == "profile handbook-2023"
        assert any("HumanEval" in note.message for note in loaded.notes)


@pytest.mark.parametrize("text", [NEW, MODEL + "mixture: a\n", MODEL + "datasets: [a]\n"])
def test_humaneval_stays_in_where_nobody_left_it_out(recipe: Write, text: str) -> None:
    assert recipe(text, least=False).mixture.clean.decontaminate_humaneval is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OLD, ["mixture.clean.decontaminate_humaneval=false"]),
        (OLD + "mixture: {clean: {decontaminate_humaneval: false}}\n", []),
        (OLD + "mixture: {clean: {exact: true}}\n", ["mixture.clean.decontaminate_humaneval=false"]),
        (
            MODEL + "profile: handbook-2023\nmixture: {sources: [a], clean: {decontaminate_humaneval: false}}\n",
            [],
        ),
    ],
)
def test_one_key_keeps_humaneval_s_texts(recipe: Write, text: str, words: list[str]) -> None:
    loaded = recipe(text, *words, least=False)

    assert loaded.mixture.clean.decontaminate_humaneval is False
    assert loaded.profile == "handbook-2023"
    assert not any("HumanEval" in note.message for note in loaded.notes)


def test_two_words_of_dataset_kwargs_become_behaviours(recipe: Write) -> None:
    loaded = recipe(OLD + "dataset_kwargs: {add_special_tokens: false, append_concat_token: false}\n", least=False)

    assert loaded.behaviours["append_eos"] is False
    assert loaded.behaviours["add_special_tokens"] is False
    assert loaded.values["dataset_kwargs"] == {}
    assert [note.key for note in loaded.notes].count("dataset_kwargs") == 2


@pytest.mark.parametrize("text", [NEW, MODEL + "datasets: [a]\n"])
def test_a_trl_that_did_not_read_them_ignores_two_words_of_dataset_kwargs(recipe: Write, text: str) -> None:
    loaded = recipe(text + "dataset_kwargs: {append_concat_token: true}\n", least=False)

    assert "append_eos" not in loaded.behaviours
    assert loaded.values["dataset_kwargs"] == {}
    assert any("did not read it" in note.message for note in loaded.notes)


def test_an_old_recipe_that_evaluates_on_nothing_goes_without(recipe: Write) -> None:
    loaded = recipe(NEW + "eval_strategy: epoch\n", least=False)

    assert loaded.values["eval_strategy"] == "no"
    assert any(note.key == "eval_strategy" for note in loaded.notes)


OF_SMOLLM3 = """\
model_name_or_path: m
dataset_mixture:
  datasets:
    - {id: a/b, config: SFT, split: with_reasoning, columns: [messages, chat_template_kwargs], weight: 0.02}
    - {id: a/b, config: SFT, split: without, columns: [messages, chat_template_kwargs], weight: null}
  test_split_size: 128
assistant_only_loss: true
average_tokens_across_devices: true
ddp_timeout: 10000
eos_token: <|im_end|>
env: {SOME_VARIABLE: 1}
eval_strategy: "no"
hub_model_revision: v1
ignore_bias_buffers: false
lr_scheduler_kwargs: {min_lr_rate: 0.1}
lr_scheduler_type: cosine_with_min_lr
packing: true
packing_strategy: ffd
padding_free: false
save_steps: 0.25
wandb_project: p
"""


def test_the_newest_recipes_keep_every_key(recipe: Write) -> None:
    loaded = recipe(OF_SMOLLM3, least=False)

    assert loaded.profile == "handbook-2025"
    assert {key: loaded.values[key] for key in ("eos_token", "ddp_timeout", "save_steps", "lr_scheduler_kwargs")} == {
        "eos_token": "<|im_end|>",
        "ddp_timeout": 10000,
        "save_steps": 0.25,
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
    }
    assert [source.keep_columns for source in loaded.mixture.sources] == [("messages", "chat_template_kwargs")] * 2
    assert [source.fraction for source in loaded.mixture.sources] == [0.02, None]
    assert (loaded.values["packing_strategy"], loaded.mixture.held_out) == ("bfd", 128)
    assert loaded.env == {"SOME_VARIABLE": "1", "WANDB_PROJECT": "p"}
    assert {"hub_model_revision", "ignore_bias_buffers", "packing_strategy"} <= {note.key for note in loaded.notes}


def test_a_run_resumes_or_not_as_the_recipe_or_the_command_line_says(recipe: Write, here: Path) -> None:
    (here / "checkpoint-7").mkdir()
    words = ("true", "false", "checkpoint-7")

    said = [recipe(OLD, f"--resume_from_checkpoint={word}", least=False) for word in words]
    written = [recipe(OLD + f"resume_from_checkpoint: {word}\n", least=False) for word in words]

    for loaded in (said, written):
        assert [one.values["resume_from_checkpoint"] for one in loaded] == [True, False, "checkpoint-7"]


def test_overwriting_the_output_folder_is_accepted_and_changes_nothing(recipe: Write) -> None:
    loaded = recipe(OLD + "overwrite_output_dir: true\n", least=False)

    assert "resume_from_checkpoint" not in loaded.values
    assert any("it never kept a run from resuming" in note.message for note in loaded.notes)


@pytest.mark.parametrize(
    ("text", "strategy", "note"),
    [
        ("dataset_splits: [train, test]\nevaluation_strategy: steps\n", "steps", False),
        ("dataset_splits: [train]\nevaluation_strategy: steps\n", "no", True),
        ("dataset_splits: [train]\ndo_eval: true\n", "no", True),
        ("dataset_splits: [train, test]\nevaluation_strategy: 'no'\ndo_eval: true\n", "no", False),
    ],
)
def test_evaluation_without_a_test_split_is_skipped_with_a_note(
    recipe: Write, text: str, strategy: str, note: bool
) -> None:
    for name in ("sft", "dpo", "orpo", "cpt"):
        loaded = recipe(MODEL + "dataset_mixer: {a/b: 1.0}\n" + text, name=name, least=False)

        assert loaded.get("eval_strategy") == strategy
        assert any("no rows to evaluate on" in one.message for one in loaded.notes) is note
        assert bool(loaded.mixture.eval) is not note


def test_trl_keeps_the_installed_defaults(recipe: Write) -> None:
    loaded = recipe(MODEL + "dataset_name: a\n", least=False)

    assert set(loaded.values) == {"model_name_or_path", "output_dir"}


def test_every_default_of_every_profile_is_a_key_of_its_task() -> None:
    seen = 0
    for profile in profiles.names():
        assert profiles.summary(profile)
        document = profiles._read(profile)
        for name in ("sft", "cpt", "dpo", "orpo"):
            known = set(fields_of(task(name).configs))
            restored = {*document["all"]["defaults"], *document.get(name, {}).get("defaults", {})}
            assert restored <= known, (profile, name)
            assert set(document.get(name, {}).get("clean", {})) <= {field.name for field in dataclasses.fields(Clean)}
            seen += len(restored)
    assert seen > 40
