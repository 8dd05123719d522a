from __future__ import annotations

import pytest

from align_cli.recipe.infer import task_of


@pytest.mark.parametrize(
    ("path", "keys", "expected"),
    [
        ("recipes/zephyr-7b-beta/sft/config_full.yaml", [], "sft"),
        ("recipes/zephyr-7b-beta/dpo/config_qlora.yaml", [], "dpo"),
        ("recipes/gpt2-nl/continued_pretraining/config_full.yaml", [], "cpt"),
        ("recipes/smollm3/dpo/apo.yaml", [], "dpo"),
        ("dpo/config_sft_model.yaml", [], "dpo"),
        ("sft/models/x.yaml", [], "sft"),
        ("scripts/run_orpo.py", [], "orpo"),
        ("my-sft-recipe.yaml", [], "sft"),
        ("x.yaml", ["text_column", "packing"], "cpt"),
        ("x.yaml", ["beta", "undesirable_weight"], "kto"),
        ("x.yaml", ["max_length", "center_rewards_coefficient"], "reward"),
        ("x.yaml", ["packing"], "sft"),
        ("x.yaml", ["max_seq_length"], "sft"),
        ("x.yaml", ["beta"], "dpo"),
        ("x.yaml", ["rpo_alpha"], "dpo"),
        ("x.yaml", ["seed"], None),
        ("swift.yaml", [], None),
    ],
)
def test_the_task_follows_from_place_name_and_keys(path: str, keys: list[str], expected: str | None) -> None:
    assert task_of(path, keys) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("simpo.yaml", "simpo"),
        ("align-simpo/small.yaml", "simpo"),
        ("my_task/x.yaml", "my_task"),
        ("simpo/sft.yaml", "simpo"),
        ("simpol.yaml", "dpo"),
    ],
)
def test_a_plugin_s_name_in_the_path_tells_too(path: str, expected: str) -> None:
    assert task_of(path, ["beta"], plugins=["simpo", "my_task", ""]) == expected
