from __future__ import annotations

from collections.abc import Callable

import pytest

from align_cli.recipe.schema import Note, Recipe
from tests.recipe.conftest import Write

Notes = Callable[..., list[Note]]


def _mixture(sources: str, evaluate: str = "[]", more: str = "") -> str:
    return f"model_name_or_path: m\nmixture:\n  sources: {sources}\n  eval: {evaluate}\n{more}eval_strategy: epoch\n"


@pytest.fixture
def said(recipe: Write) -> Notes:
    def load(text: str, **options: str) -> list[Note]:
        loaded: Recipe = recipe(text, least=False, **options)
        return [note for note in loaded.notes if "trained on" in note.message]

    return load


def test_a_test_split_beside_its_training_split_is_noted_at_its_line(said: Notes) -> None:
    found = said(
        "model_name_or_path: m\nmixture:\n  sources:\n    - {path: a, split: train_sft}\n"
        "    - path: a\n      split: test_sft\n    - {path: b, split: train_sft}\n"
    )

    assert [str(note) for note in found] == [
        "recipe.yaml:6: test splits are trained on: a; results on those rows say nothing about unseen rows"
    ]


def test_a_lone_test_split_beside_other_training_splits_is_probably_a_slip(said: Notes) -> None:
    found = said("model_name_or_path: m\nmixture: [{path: a, split: train_sft}, {path: b, split: test_sft}]\n")

    assert "only the test split of b is trained on" in found[0].message
    assert "probably a slip" in found[0].message


def test_several_test_splits_make_one_note(said: Notes) -> None:
    entries = ", ".join(f"{{id: {name}, split: {split}}}" for name in "abc" for split in ("train", "test"))

    found = said(f"model_name_or_path: m\ndataset_mixture: {{datasets: [{entries}]}}\n")

    assert [note.message.partition(";")[0] for note in found] == ["test splits are trained on: a, b, c"]


def test_the_test_split_of_the_only_data_set_is_noted_for_trl_s_words_too(said: Notes) -> None:
    found = said("model_name_or_path: m\ndataset_name: a\ndataset_train_split: test\n")

    assert [note.message for note in found] == ["the test split of a is trained on"]


@pytest.mark.parametrize("split", ["train", "train_test", "latest", "contest", "null"])
def test_a_split_that_only_sounds_like_one_for_testing_is_fine(said: Notes, split: str) -> None:
    assert said(f"model_name_or_path: m\nmixture: [{{path: a, split: {split}}}]\n") == []


@pytest.mark.parametrize(
    ("train", "evaluate"),
    [
        ("test", "test"),
        ("train+test", "test"),
        ("train", "train[:1000]"),
        ("train[:50%]", "train"),
        ("train[:5]", "train[:5]"),
        ("null", "train"),
    ],
)
def test_rows_that_are_evaluated_on_and_trained_on_are_noted(said: Notes, train: str, evaluate: str) -> None:
    found = said(
        _mixture(f"[{{path: a, split: '{train}'}}]", f"[{{path: a, split: '{evaluate}'}}]").replace("'null'", "null")
    )

    assert "a is evaluated on and trained on" in found[-1].message


@pytest.mark.parametrize(
    ("train", "evaluate"),
    [("train", "test"), ("train[:90%]", "train[90%:]"), ("train_sft", "train"), ("train+validation", "test")],
)
def test_splits_that_share_no_rows_for_all_we_know_are_fine(said: Notes, train: str, evaluate: str) -> None:
    assert said(_mixture(f"[{{path: a, split: '{train}'}}]", f"[{{path: a, split: '{evaluate}'}}]")) == []


def test_another_configuration_of_the_data_set_has_other_rows(said: Notes) -> None:
    assert said(_mixture("[{path: a, config: x}]", "[{path: a, config: y}]")) == []


def test_nothing_is_noted_when_equal_rows_leave_the_training_rows(said: Notes) -> None:
    assert said(_mixture("[{path: a}]", "[{path: a}]", "  clean: {exact: true}\n")) == []
