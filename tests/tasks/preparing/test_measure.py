from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import RecipeError
from align_cli.mix.layout.columns import COLUMNS
from align_cli.mix.spools.arrow_rows import arrays
from align_cli.recipe.schema import Mixture, Source
from align_cli.tasks.preparing.measure import Measure, measure
from align_cli.tasks.preparing.settings import choose
from align_cli.tasks.preparing.tokens import prepare as prepare_tokens
from tests.models.tiny import CHATML, tiny_model
from tests.tasks.mixtures import KINDS, read_tokens, recipe, write_rows


def measured(model: Path, **values: Any) -> Measure:
    made = recipe(**values)
    return measure(made, choose(made, model, say=lambda line: None))


def asked(text: str) -> list[tuple[str, str, None]]:
    return [("user", text, None)]


def said(text: str) -> list[tuple[str, str, None]]:
    return [("assistant", text, None)]


# Of the tiny tokenizer, each byte is a token and each marker is one; a ChatML turn adds its role and five of them.
USER, ANSWER, HEADER = len("user") + 4, len("assistant") + 4, len("assistant") + 2
ROWS = {
    "messages": ((asked("abc") + said("de"), None, None), USER + 3 + ANSWER + 2),
    "pair_turns": ((asked("abc"), said("de"), None, None), USER + 3 + ANSWER + 2),
    "pair_text": (("abc", "de"), 3 + 2 + 1),
    "text": (("abc",), 3 + 1),
    "preference_turns": ((asked("abc"), said("de"), said("f"), None, None), 2 * (USER + 3 + ANSWER) + 3),
    "preference_text": (("abc", "de", "f"), 2 * (3 + 1) + 3),
    "unpaired_turns": ((asked("abc"), said("de"), True, None, None), USER + 3 + ANSWER + 2),
    "unpaired_text": (("abc", "de", False), 3 + 2 + 1),
    "prompt_turns": ((asked("abc"), None, None), USER + 3 + HEADER),
    "prompt_text": (("abc",), 3),
}


@pytest.mark.parametrize("shape", COLUMNS)
def test_rows_of_every_shape_are_counted_whole(shape: str, model: Path) -> None:
    row, tokens = ROWS[shape]

    counts = measured(model, max_length=4).count(arrays([row] * 3, shape))

    assert counts.dtype == "int64"
    assert counts.tolist() == [tokens] * 3


def test_a_long_batch_and_an_empty_one_are_counted_row_by_row(model: Path) -> None:
    batch = arrays([("x" * length,) for length in range(2500)], "text")

    assert measured(model).count(batch).tolist() == [length + 1 for length in range(2500)]
    assert measured(model).count(batch.slice(0, 0)).tolist() == []


def test_a_row_that_the_template_refuses_has_no_tokens(model: Path) -> None:
    picky = "{% if messages[0].content == 'bad' %}{{ raise_exception('no') }}{% endif %}" + CHATML
    batch = arrays([(asked("bad") + said("x"), None, None), (asked("abc") + said("de"), None, None)], "messages")

    assert measured(model, chat_template=picky).count(batch).tolist() == [0, USER + 3 + ANSWER + 2]


def test_conversations_without_a_template_cannot_be_counted(tmp_path: Path) -> None:
    counting = measured(tiny_model(tmp_path / "bare", template=None))

    with pytest.raises(RecipeError):
        counting.count(arrays([ROWS["messages"][0]], "messages"))


def test_only_what_decides_the_counts_decides_the_identity(model: Path, tmp_path: Path) -> None:
    before = measured(model).identity

    assert measured(model, max_length=8, packing=True, learning_rate=1.0).identity == before
    assert measured(model, chat_template="zephyr").identity != before
    assert measured(tiny_model(tmp_path / "other", bos_token="<eos>"), add_eos=True).identity != before


def test_a_token_budget_is_kept_and_used_up(model: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": "x" * 9}] * 50)
    mixture = Mixture(sources=(Source(path=str(rows), tokens=105),))

    done = prepare_tokens(recipe(mixture), model, kinds=KINDS)

    assert sum(len(row["input_ids"]) for row in read_tokens(done.folder / "train.arrow")) == 100
