from __future__ import annotations

import pytest

from align_cli.recipe.secrets import REMOVED, is_secret, scrub


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "wandb_apikey"])
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["WANDB_PROJECT", "CUDA_VISIBLE_DEVICES", "TOKENIZERS_PARALLELISM", "HF_HOME"])
def test_other_names(name: str) -> None:
    assert not is_secret(name)


def test_given_values_and_known_shapes_are_removed() -> None:
    text = "a secret-value and hf_" + "x" * 20 + " and sk-" + "y" * 20 + " and hf_hub"

    assert scrub(text, ("secret-value",)) == f"a {REMOVED} and {REMOVED} and {REMOVED} and hf_hub"
