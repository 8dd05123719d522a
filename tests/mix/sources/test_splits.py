from __future__ import annotations

import pytest

from align_cli.mix.sources import splits
from align_cli.mix.sources.splits import Slice


@pytest.mark.parametrize(
    ("expression", "terms"),
    [
        ("train", (Slice("train"),)),
        ("train[:1000]", (Slice("train", None, 1000),)),
        ("train[10%:50%]", (Slice("train", 10, 50, True),)),
        ("train[-5:]", (Slice("train", -5, None),)),
        ("train+test", (Slice("train"), Slice("test"))),
    ],
)
def test_split_expressions_are_read_as_datasets_reads_them(expression: str, terms: tuple[Slice, ...]) -> None:
    assert splits.parse(expression) == terms


def test_what_is_no_split_says_what_one_looks_like() -> None:
    with pytest.raises(ValueError, match=r"train\[:10%\]"):
        splits.parse("the train split")


@pytest.mark.parametrize(
    ("term", "bounds"),
    [
        (Slice("s"), (0, 77)),
        (Slice("s", None, 10), (0, 10)),
        (Slice("s", -5, None), (72, 77)),
        (Slice("s", None, 1000), (0, 77)),
        (Slice("s", 50, None, True), (38, 77)),  # 38.5 rounds to even
        (Slice("s", 20, 10), (20, 20)),
    ],
)
def test_bounds_stay_inside_the_split(term: Slice, bounds: tuple[int, int]) -> None:
    assert term.bounds(77) == bounds


def test_sharded_names_tell_splits_of_any_name() -> None:
    names = [
        "data/train_sft-00000-of-00002.parquet",
        "data/train_sft-00001-of-00002.parquet",
        "data/x-00000-of-00001.parquet",
    ]

    assert splits.of_files(names) == {"train_sft": names[:2], "x": names[2:]}


def test_folders_and_files_called_train_and_test_are_splits() -> None:
    assert splits.of_files(["train/a.jsonl", "test/a.jsonl"]) == {"train": ["train/a.jsonl"], "test": ["test/a.jsonl"]}
    assert splits.of_files(["my-train.jsonl", "dev.jsonl"]) == {
        "train": ["my-train.jsonl"],
        "validation": ["dev.jsonl"],
    }


def test_one_name_among_many_does_not_hide_the_others() -> None:
    assert splits.of_files(["goals-changed-by-training.jsonl", "art.jsonl", "music.jsonl"]) == {}
