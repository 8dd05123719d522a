from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from align_cli.errors import RecipeError, UsageError
from align_cli.launch import batch
from align_cli.recipe.schema import Origin
from tests.launch.conftest import make_recipe


@given(size=st.integers(1, 64), accumulation=st.integers(1, 64), before=st.integers(1, 64), now=st.integers(1, 64))
def test_the_global_batch_stays_and_no_device_holds_more(size: int, accumulation: int, before: int, now: int):
    recipe = make_recipe(per_device_train_batch_size=size, gradient_accumulation_steps=accumulation)
    wanted = batch.size(recipe, before)
    assume(wanted % now == 0)

    kept = batch.kept(recipe, wanted, now, why="--keep-global-batch")

    assert batch.size(kept, now) == wanted
    assert kept.get("per_device_train_batch_size") <= size


def test_accumulation_is_changed_before_the_batch_is():
    recipe = make_recipe(per_device_train_batch_size=4, gradient_accumulation_steps=2)

    kept = batch.kept(recipe, 64, 2, why="--keep-global-batch")

    assert (kept.get("per_device_train_batch_size"), kept.get("gradient_accumulation_steps")) == (4, 8)
    assert str(kept.origins["gradient_accumulation_steps"]) == "--keep-global-batch, was 2"
    assert kept.origins["per_device_train_batch_size"].kind == "file"


def test_rows_that_cannot_be_dealt_out_are_refused_with_batches_that_can():
    with pytest.raises(UsageError, match="10 rows cannot be dealt out to 4") as caught:
        batch.kept(make_recipe(), 10, 4, why="")

    assert "8 or 12" in caught.value.hint


def test_a_batch_that_the_recipe_itself_asks_for_is_refused_with_its_place():
    recipe = make_recipe()
    origins = {"launch.global_batch_size": Origin("command line", "--global-batch-size 7")}

    with pytest.raises(RecipeError) as caught:
        batch.kept(replace(recipe, origins=origins), 7, 2, why="launch.global_batch_size")

    assert "the command line" in caught.value.message
    assert caught.value.problems[0].where == "--global-batch-size 7"
    assert "6 or 8" in caught.value.problems[0].hint
