"""Preference rows from a file to what the trainers read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import DataError
from align_cli.models.tokenizer import load
from align_cli.recipe.schema import Mixture, Source
from align_cli.tasks.preparing.tokens import prepare
from align_cli.tasks.task import Prepared, Shape
from tests.tasks.mixtures import read_tokens, recipe, write_rows

KINDS = {"pairs": ("preference",), "judged": ("unpaired", "preference"), "scored": ("preference",)}


def turns(text: str, role: str = "assistant") -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def pair(asked: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": turns(asked, "user"), "chosen": turns(chosen), "rejected": turns(rejected)}


def prepared(
    rows: Sequence[Mapping[str, Any]], model: Path, folder: Path, shape: Shape, **values: Any
) -> tuple[Prepared, list[dict[str, Any]]]:
    """The report and the rows, every `…_ids` column as text."""
    behaviours = values.pop("behaviours", {})
    on_bad_rows = values.pop("on_bad_rows", "error")
    path = write_rows(folder / "rows.jsonl", rows)
    mixture = Mixture(sources=(Source(path=str(path)),), combine="trl", on_bad_rows=on_bad_rows)
    done = prepare(recipe(mixture, behaviours=behaviours, **values), model, kinds=KINDS[shape], shape=shape)
    backend = load(model).backend
    read = read_tokens(done.folder / "train.arrow")
    return done, [
        {
            key: backend.decode(value, skip_special_tokens=False) if key.endswith("_ids") else value
            for key, value in row.items()
        }
        for row in read
    ]


def test_a_pair_is_a_prompt_that_asks_and_two_answers_that_are_closed(model: Path, tmp_path: Path) -> None:
    done, rows = prepared([pair("Hi", "Hello", "Go")], model, tmp_path, "pairs")

    assert rows == [
        {
            "prompt_ids": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
            "chosen_ids": "Hello<|im_end|>\n",
            "rejected_ids": "Go<|im_end|>\n",
        }
    ]
    assert done.report["unit"] == "pairs"
    assert done.report["stop_token"] == {"text": "<|im_end|>", "trained": True}
    tokens = done.report["tokens"]
    assert tokens["in_loss"] == len("Hello") + len("Go") + 2 * 2
    assert tokens["train"] == 2 * (len("user\nHi\nassistant\n") + 3) + tokens["in_loss"]


def test_text_answers_are_closed_with_eos_and_prompts_are_not(model: Path, tmp_path: Path) -> None:
    _, rows = prepared([{"prompt": "Q: ", "chosen": "yes", "rejected": "no"}], model, tmp_path, "pairs")

    assert rows == [{"prompt_ids": "Q: ", "chosen_ids": "yes<|im_end|>", "rejected_ids": "no<|im_end|>"}]


def test_the_handbooks_way_renders_prompt_and_answers_apart(model: Path, tmp_path: Path) -> None:
    apart = {"render_separately": True}

    _, rows = prepared([pair("Hi", "Hello", "Go")], model, tmp_path, "pairs", behaviours=apart)

    assert rows == [
        {
            "prompt_ids": "<|im_start|>user\nHi<|im_end|>\n",
            "chosen_ids": "<|im_start|>assistant\nHello<|im_end|>\n",
            "rejected_ids": "<|im_start|>assistant\nGo<|im_end|>\n",
        }
    ]


def test_judged_answers_keep_their_labels_when_others_are_left_out(model: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": turns("Hi", "user"), "completion": turns("a"), "label": True},
        {"prompt": turns("long " * 20, "user"), "completion": turns("b"), "label": True},
        {"prompt": turns("Hi", "user"), "completion": turns("c"), "label": False},
    ]

    done, read = prepared(rows, model, tmp_path, "judged", max_length=60)

    assert [(row["completion_ids"][0], row["label"]) for row in read] == [("a", True), ("c", False)]
    assert done.report["dropped"] == {"no trained token left at max_length": 1}
    assert any("nothing in the loss within max_length 60" in line for line in done.report["warnings"])


def test_pairs_become_answers_that_alternate_and_no_neighbours_share_a_prompt(model: Path, tmp_path: Path) -> None:
    rows = [pair(f"q{n}", f"good{n}", f"bad{n}") for n in range(7)]

    done, read = prepared(rows, model, tmp_path, "judged")

    assert [row["label"] for row in read] == [True, False] * 7
    assert {row["completion_ids"].partition("<")[0] for row in read} == {
        f"{kind}{n}" for kind in ("good", "bad") for n in range(7)
    }
    assert all(row["label"] == row["completion_ids"].startswith("good") for row in read)
    assert all(one["prompt_ids"] != other["prompt_ids"] for one, other in pairwise(read))
    assert done.num_train == 14


def test_scored_wholes_are_never_cut(model: Path, tmp_path: Path) -> None:
    rows = [pair("Hi", "Hello", "Go"), pair("Hi", "x" * 90, "Go")]

    done, read = prepared(rows, model, tmp_path, "scored", max_length=80)

    whole = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"
    assert read == [{"chosen_ids": whole.format("Hello"), "rejected_ids": whole.format("Go")}]
    assert done.report["dropped"] == {"longer than max_length": 1}
    assert "stop_token" not in done.report


def test_the_handbooks_orpo_leaves_out_long_prompts(model: Path, tmp_path: Path) -> None:
    rows = [pair("Hi", "Hello", "Go"), pair("Hi there, how are you", "Hello", "Go")]

    done, read = prepared(rows, model, tmp_path, "pairs", max_prompt_length=30, behaviours={"drop_long_prompts": True})

    assert len(read) == 1
    assert done.report["dropped"] == {"prompt as long as max_prompt_length": 1}


def test_answers_that_are_equal_once_cut_are_said(model: Path, tmp_path: Path) -> None:
    rows = [pair("Hi", "same words, then this", "same words, then that"), pair("Hi", "a", "b")]

    done, _ = prepared(rows, model, tmp_path, "pairs", max_length=40)

    assert [line for line in done.report["warnings"] if "they teach nothing" in line]


def test_a_template_that_rejects_a_system_turn_is_said_with_the_rows_place(model: Path, tmp_path: Path) -> None:
    picky = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}{{ messages }}"
    row = {**pair("Hi", "a", "b"), "prompt": [*turns("Be kind", "system"), *turns("Hi", "user")]}

    with pytest.raises(DataError) as raised:
        prepared([pair("Hi", "a", "b"), row], model, tmp_path, "pairs", chat_template=picky)

    assert "no system turns" in raised.value.problems[0].message
    assert "row 2" in raised.value.problems[0].where


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": turns("Hi", "user"), "chosen": turns("a"), "rejected": []}, "rejected"),
        ({"prompt": turns("Hi", "user"), "chosen": turns("a")}, "rejected"),
        (pair("Hi", "same", "same"), "equal"),
        ({"chosen": turns("Q1", "user") + turns("a"), "rejected": turns("Q2", "user") + turns("b")}, "common"),
        ({"prompt": turns("Hi", "user"), "chosen": turns("a"), "rejected": turns(" ")}, "rejected"),
    ],
    ids=["empty side", "missing side", "equal sides", "other prompt", "blank side"],
)
def test_pairs_that_are_none_are_refused_with_their_line(row: Any, said: str, model: Path, tmp_path: Path) -> None:
    good = (
        [pair(f"q{n}", "a", "b") for n in range(3)]
        if "prompt" in row
        else [
            {"chosen": turns("Q", "user") + turns(f"a{n}"), "rejected": turns("Q", "user") + turns("b")}
            for n in range(3)
        ]
    )

    with pytest.raises(DataError) as raised:
        prepared([*good, row], model, tmp_path, "pairs")

    assert said in f"{raised.value.problems[0]}"
    assert "rows.jsonl:4" in raised.value.problems[0].where


def test_labels_that_are_words_are_refused(model: Path, tmp_path: Path) -> None:
    rows = [{"prompt": turns("Hi", "user"), "completion": turns("a"), "label": "maybe"}]

    with pytest.raises(DataError) as raised:
        prepared(rows, model, tmp_path, "judged")

    assert "label" in str(raised.value.problems[0])
