"""Tokens without an embedding: an error when the tokenizer brings them, a note when the recipe adds them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from align_cli.errors import RecipeError
from align_cli.tasks.preparing.settings import choose
from align_cli.tasks.preparing.vocabulary import check
from tests.models.tiny import tiny_model
from tests.tasks.mixtures import recipe

TOKENS = 259  # of the tiny tokenizer


def checked(folder: Path, embeddings: int, added: tuple[str, ...] = (), **values: Any) -> list[str]:
    from safetensors.numpy import save_file

    model = tiny_model(folder)
    save_file({"model.embed_tokens.weight": np.zeros((embeddings, 4), np.float32)}, model / "model.safetensors")
    made = recipe(**values)
    chosen = choose(made, model, say=lambda line: None)
    return check(made, replace(chosen, tokenizer=chosen.tokenizer.with_added(added)), model)


def test_as_many_embeddings_as_tokens_or_more_are_fine(tmp_path: Path) -> None:
    assert checked(tmp_path / "a", TOKENS) == []
    assert checked(tmp_path / "b", TOKENS + 5) == []


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        checked(tmp_path / "a", TOKENS - 1)

    assert "259 tokens, the model's embeddings are 258" in raised.value.problems[0].message


def test_tokens_that_the_recipe_adds_get_embeddings_which_an_adapter_must_save(tmp_path: Path) -> None:
    whole = checked(tmp_path / "a", TOKENS, ("<one>", "<two>"))
    adapter = checked(tmp_path / "b", TOKENS, ("<one>",), use_peft=True)
    saving = checked(tmp_path / "c", TOKENS, ("<one>",), use_peft=True, lora_modules_to_save=["embed_tokens"])

    assert whole == ["the model gets 2 new embeddings, for <one>, <two>"]
    assert "may not learn to use <one>" in adapter[1]
    assert "lora_modules_to_save: [embed_tokens, lm_head]" in adapter[1]
    assert len(saving) == 1


def test_a_folder_with_a_tokenizer_alone_is_not_judged(model: Path) -> None:
    made = recipe()

    assert check(made, choose(made, model, say=lambda line: None), model) == []
