from __future__ import annotations

from collections.abc import Callable

import pytest

from align_cli.errors import Problem
from align_cli.recipe import profiles
from align_cli.recipe.fields import fields_of
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
        "decontaminate_humaneval": True,
        "default_chat_template": "zephyr",
        "drop_remainder": True,
        "model_max_length_cap": 2048,
    }


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
    assert loaded.behaviours == {}


@pytest.mark.parametrize(
    ("name", "model", "expected"),
    [
        ("sft", "m", True),
        ("sft", "philschmid/gemma-tokenizer-chatml", None),
        ("orpo", "philschmid/gemma-tokenizer-chatml", True),
        ("dpo", "m", None),
    ],
)
def test_a_chatml_template_brought_its_tokens(recipe: Write, name: str, model: str, expected: bool | None) -> None:
    text = OLD + "chat_template: '<|im_start|>{{ messages }}'\n"

    loaded = recipe(text, f"tokenizer_name_or_path={model}", name=name, least=False)

    assert loaded.behaviours.get("chatml_special_tokens") is expected


def test_two_words_of_dataset_kwargs_become_behaviours(recipe: Write) -> None:
    loaded = recipe(OLD + "dataset_kwargs: {add_special_tokens: false, append_concat_token: false}\n", least=False)

    assert loaded.behaviours["append_eos"] is False
    assert loaded.behaviours["add_special_tokens"] is False
    assert loaded.values["dataset_kwargs"] == {}
    assert [note.key for note in loaded.notes].count("dataset_kwargs") == 2


def test_an_old_recipe_that_evaluates_on_nothing_goes_without(recipe: Write) -> None:
    loaded = recipe(NEW + "eval_strategy: epoch\n", least=False)

    assert loaded.values["eval_strategy"] == "no"
    assert any(note.key == "eval_strategy" for note in loaded.notes)


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
            seen += len(restored)
    assert seen > 40
