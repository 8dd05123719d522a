from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from align_cli.mix.build import Build, build
from align_cli.models.tokenizer import load
from align_cli.recipe.schema import Mixture, Source
from align_cli.tasks.preparing.inspection import ShownRow, shown_rows
from align_cli.tasks.preparing.tokens import prepare as prepare_tokens
from tests.models.tiny import CHATML, tiny_model
from tests.tasks.mixtures import KINDS, read_tokens, recipe, write_rows


def chat(*turns: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]}


def mixed(folder: Path, rows: Sequence[Mapping[str, Any]], kinds: Sequence[str] = KINDS) -> tuple[Mixture, Build]:
    path = write_rows(folder / "rows.jsonl", rows)
    mixture = Mixture(sources=(Source(path=str(path), name="mine"),), combine="trl")  # trl: the order of the file
    return mixture, build(mixture, kinds)


def show(folder: Path, rows: Sequence[Mapping[str, Any]], model: Path | None, **values: Any) -> list[ShownRow]:
    mixture, made = mixed(folder, rows, values.pop("kinds", KINDS))
    return shown_rows(recipe(mixture, **values), model, made, range(len(rows)))


@pytest.mark.parametrize(
    "values",
    [{}, {"assistant_only_loss": True}, {"max_length": 28}, {"max_length": 28, "truncation_mode": "keep_end"}],
    ids=str,
)
def test_what_is_shown_is_what_is_trained(values: dict[str, Any], model: Path, tmp_path: Path) -> None:
    rows = [chat("Hi", "Hello", "And?", "No"), chat("More", "words")]
    mixture, made = mixed(tmp_path, rows)

    shown = shown_rows(recipe(mixture, **values), model, made, [0, 1])

    backend = load(model).backend
    done = prepare_tokens(recipe(mixture, **values), model, kinds=KINDS)
    for row, tokens in zip(shown, read_tokens(done.folder / "train.arrow"), strict=True):
        in_loss = [token for token in tokens["labels"] if token != -100]
        assert "".join(text for text, _ in row.segments) == backend.decode(
            tokens["input_ids"], skip_special_tokens=False
        )
        assert "".join(text for text, on in row.segments if on) == backend.decode(in_loss, skip_special_tokens=False)
        assert row.num_in_loss == len(in_loss)
        assert row.truncated == ("max_length" in values)


def test_rows_come_as_asked_with_their_places(model: Path, tmp_path: Path) -> None:
    mixture, made = mixed(tmp_path, [{"text": f"{i:04}"} for i in range(2500)])

    shown = shown_rows(recipe(mixture), model, made, [2400, 3])

    assert [(row.row, row.segments[0][0][:4], row.source) for row in shown] == [
        (2400, "2400", "mine"),
        (3, "0003", "mine"),
    ]
    assert shown[1].place.endswith("rows.jsonl, row 4")
    with pytest.raises(IndexError, match="2500"):
        shown_rows(recipe(mixture), model, made, [2500])


def test_what_max_length_cuts_is_told_apart(model: Path, tmp_path: Path) -> None:
    (row,) = show(tmp_path, [{"prompt": "abc", "completion": "defg"}], model, max_length=5)

    assert row.segments == [("abc", False), ("de", True)]
    assert (row.num_tokens, row.num_in_loss, row.cut) == (8, 2, "fg<|im_end|>")
    assert "cuts the last 3 tokens" in row.note


def test_packing_that_continues_rows_cuts_none_of_them(model: Path, tmp_path: Path) -> None:
    values = {"max_length": 5, "packing": True, "packing_strategy": "bfd_split"}

    (row,) = show(tmp_path, [{"text": "abcdefgh"}], model, **values)

    assert (row.truncated, row.segments) == (False, [("abcdefgh<|im_end|>", True)])


def test_a_row_that_cannot_be_trained_on_says_why(model: Path, tmp_path: Path) -> None:
    picky = "{% if messages[0].content == 'bad' %}{{ raise_exception('I refuse') }}{% endif %}" + CHATML
    (refused,) = show(tmp_path, [chat("bad", "x")], model, chat_template=picky)
    (empty,) = show(tmp_path, [{"prompt": "abcdef", "completion": "g"}], model, max_length=4)

    assert "I refuse" in refused.note
    assert ("user: bad\n", None) in refused.segments
    assert "left out" in empty.note


def test_both_answers_of_a_preference_are_shown_with_their_loss(model: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "a?", "chosen": "yes", "rejected": "no"}]

    (row,) = show(tmp_path, rows, model, kinds=("preference",))

    assert row.segments == [
        ("chosen:\n", None), ("a?", False), ("yes<|im_end|>", True),
        ("\nrejected:\n", None), ("a?", False), ("no<|im_end|>", True),
    ]  # fmt: skip
    assert (row.num_tokens, row.num_in_loss) == (6 + 5, 4 + 3)


def test_without_a_model_or_a_template_the_turns_are_shown_as_they_are(tmp_path: Path) -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    turns = [*chat("Hi")["messages"], {"role": "assistant", "content": None, "tool_calls": [call]}]

    (plain,) = show(tmp_path, [{"messages": turns}], None)
    (bare,) = show(tmp_path, [{"messages": turns}], tiny_model(tmp_path / "bare", template=None))

    assert plain.segments[0] == ("user: Hi\n", None)
    assert '"name": "f"' in plain.segments[2][0]
    assert (plain.num_tokens, plain.note) == (None, "")
    assert bare.segments == plain.segments
    assert "no chat template" in bare.note
