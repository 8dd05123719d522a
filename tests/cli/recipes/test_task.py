from __future__ import annotations

from tests.cli.conftest import Align


def test_tasks_are_listed(align: Align):
    rows = {row["name"]: row for row in align("task", "ls", "--json").document}

    assert {"sft", "dpo", "orpo", "cpt"} <= set(rows)


def test_one_key_is_shown_with_choices_and_owner(align: Align):
    done = align("task", "show", "sft", "lr_scheduler_type")

    assert done.code == 0
    assert "cosine" in done.out
    assert "transformers.training_args.TrainingArguments" in done.out


def test_a_key_may_be_spelt_as_a_flag(align: Align):
    document = align("task", "show", "sft", "--json", "--", "--learning-rate").document

    assert document["name"] == "learning_rate"
    assert document["default"] == 2e-05


def test_a_misspelt_key_is_suggested(align: Align):
    done = align("task", "show", "sft", "learning_rat")

    assert done.code == 2
    assert "did you mean learning_rate?" in done.err


def test_another_tool_s_word_for_a_key_is_translated_as_in_a_recipe(align: Align):
    done = align("task", "show", "sft", "lr")

    assert done.code == 2
    assert "learning_rate is what it is called here" in done.err
