from __future__ import annotations

import pytest

from align_cli.runs import identity


def test_saying_a_default_aloud_is_not_a_difference(make_recipe):
    assert identity.differences(make_recipe(), make_recipe(seed=42, num_train_epochs=3)) == []


def test_lists_and_tuples_with_the_same_entries_are_equal(make_recipe):
    assert (
        identity.differences(make_recipe(lora_target_modules=("q", "v")), make_recipe(lora_target_modules=["q", "v"]))
        == []
    )


def test_another_task_or_profile_is_another_run(make_recipe):
    found = identity.differences(make_recipe(), make_recipe(task="cpt", profile="handbook-2023"))

    assert [problem.where for problem in found] == ["task", "profile"]


@pytest.mark.parametrize(
    "key", ["logging_steps", "save_total_limit", "eval_steps", "report_to", "hub_model_id", "run_name"]
)
def test_cadence_and_reporting_are_free(key: str):
    assert identity.is_free(key)


@pytest.mark.parametrize("key", ["learning_rate", "seed", "max_steps", "eval_packing", "packing", "dtype", "use_peft"])
def test_what_decides_the_weights_or_the_tokens_is_not_free(key: str):
    assert not identity.is_free(key)


def test_another_batch_names_both_ways_back(make_recipe):
    (found,) = identity.differences(make_recipe(), make_recipe(), batches=(4, 2), processes=2)

    assert found.message == "was 4 rows a step, is now 2"
    assert "--keep-global-batch" in found.hint
    assert "--num-processes 2" in found.hint


def test_keys_tell_which_value_makes_two_digests_differ_and_no_secret(make_recipe):
    one, other = (identity.keys(make_recipe(seed=seed, note="hf_" + "a" * 20)) for seed in (1, 2))

    assert [key for key in one if one[key] != other[key]] == ["seed"]
    assert one["seed"][1] == "1"
    assert "hf_" not in str(one)
