from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from align_cli.errors import Problem
from align_cli.recipe.schema import Recipe, Source
from tests.recipe.conftest import Write

Problems = Callable[..., list[Problem]]
One = Callable[..., Problem]
MODEL = "model_name_or_path: m\n"
KEPT = ("messages", "chosen", "rejected", "prompt", "completion", "label")


@pytest.fixture
def data(recipe: Write) -> Write:
    def load(text: str, *words: str, name: str = "sft") -> Recipe:
        return recipe(MODEL + text, *words, name=name, least=False)

    return load


@pytest.fixture
def wrong(problem: One) -> One:
    def load(text: str, name: str = "sft") -> Problem:
        return problem(MODEL + text, name=name, least=False)

    return load


def test_the_mixer_of_2023_takes_fractions_of_training_splits_and_test_splits_whole(data: Write) -> None:
    loaded = data(
        "dataset_mixer:\n  a/b: 0.5\n  c/d: 1.0\ndataset_splits:\n- train_sft\n- test_sft\ndataset_configs: [x, null]\n"
    )

    assert loaded.mixture.sources == (
        Source(path="a/b", config="x", split="train_sft", fraction=0.5, keep_columns=KEPT),
        Source(path="c/d", split="train_sft", fraction=1.0, keep_columns=KEPT),
    )
    assert loaded.mixture.eval == (
        Source(path="a/b", config="x", split="test_sft", keep_columns=KEPT),
        Source(path="c/d", split="test_sft", keep_columns=KEPT),
    )
    assert (loaded.mixture.combine, loaded.mixture.seed, loaded.profile) == ("handbook-2023", 42, "handbook-2023")
    assert str(loaded.origins["mixture.sources.1.fraction"]) == "recipe.yaml:4"


def test_the_mixer_s_splits_are_train_and_test_when_it_is_silent(data: Write) -> None:
    loaded = data("dataset_mixer: {a/b: 1}\n")

    assert (loaded.mixture.sources[0].split, loaded.mixture.eval[0].split) == ("train", "test")


def test_the_misspelt_mixer_of_the_old_readme_works(data: Write) -> None:
    assert data("datasets_mixer: {a/b: 0.5}\n").mixture.sources[0].fraction == 0.5


@pytest.mark.parametrize(
    ("name", "columns"), [("cpt", ("content",)), ("orpo", ("prompt", "chosen", "rejected")), ("dpo", KEPT)]
)
def test_the_mixer_keeps_the_columns_of_its_task(data: Write, name: str, columns: tuple[str, ...]) -> None:
    extra = "text_column: content\n" if name == "cpt" else ""

    assert data("dataset_mixer: {a/b: 1}\n" + extra, name=name).mixture.sources[0].keep_columns == columns


def test_two_training_splits_keep_every_data_set_and_say_so(data: Write) -> None:
    loaded = data("dataset_mixer: {a: 0.5, b: 1.0}\ndataset_splits: [train, train_x, test]\n")

    taken = [(source.path, source.split, source.fraction) for source in loaded.mixture.sources]
    assert taken == [("a", "train", 0.5), ("a", "train_x", 0.5), ("b", "train", 1.0), ("b", "train_x", 1.0)]
    assert any("wrong splits" in note.message for note in loaded.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset_mixer: {a: 1.5}\n", "from 0 to 1"),
        ("dataset_mixer: {a: -1}\n", "from 0 to 1"),
        ("dataset_mixer: {a: lots}\n", "expected a number"),
        ("dataset_mixer: {a: 1}\ndataset_splits: [validation, train]\n", "neither for training nor for testing"),
        ("dataset_mixer: {a: 1}\ndataset_splits: [test]\n", "no split to train on"),
        ("dataset_mixer: {a: 1}\ndataset_configs: [x, y]\n", "2 dataset_configs for 1 data sets"),
        ("dataset_mixer: 5\n", "must be a mapping"),
    ],
)
def test_a_mixer_that_cannot_work_is_a_problem(wrong: One, text: str, said: str) -> None:
    assert said in wrong(text).message


def test_the_mixture_of_2025(data: Write) -> None:
    loaded = data(
        "dataset_mixture:\n  datasets:\n    - id: a/b\n      config: all\n      split: train_x\n"
        "      columns: [messages]\n"
        "      weight: 0.25\n    - {id: c/d}\n"
        "    - {id: e/f, weight: null, typo: 1}\n  test_split_size: 1000\n  seed: 3\n"
    )

    assert loaded.mixture.sources == (
        Source(path="a/b", config="all", split="train_x", keep_columns=("messages",), fraction=0.25, shuffle=True),
        Source(path="c/d", split="train", fraction=1.0, shuffle=True),
        Source(path="e/f", split="train", shuffle=False),
    )
    assert (loaded.mixture.held_out, loaded.mixture.seed, loaded.mixture.combine) == (1000, 3, "handbook-2025")
    assert loaded.profile == "handbook-2025"
    assert any("typo is ignored" in note.message for note in loaded.notes)
    assert str(loaded.origins["mixture.sources.0.split"]) == "recipe.yaml:4"


def test_the_mixture_of_2025_has_seed_0_and_may_hold_out_a_share(data: Write) -> None:
    loaded = data("dataset_mixture:\n  datasets: [{id: a}]\n  test_split_size: 0.05\n")

    assert (loaded.mixture.seed, loaded.mixture.held_out) == (0, 0.05)


def test_a_test_split_among_the_training_rows_is_noted(data: Write) -> None:
    loaded = data("dataset_mixture:\n  datasets: [{id: a, split: train_sft}, {id: a, split: test_sft}]\n")

    assert any("test splits are trained on: a" in note.message for note in loaded.notes)


def test_a_lone_test_split_beside_training_splits_is_noted(data: Write) -> None:
    loaded = data("dataset_mixture:\n  datasets: [{id: a, split: train_sft}, {id: b, split: test_sft}]\n")

    assert any("only the test split of b" in note.message for note in loaded.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset_mixture: {seed: 1}\n", "needs datasets"),
        ("dataset_mixture: {datasets: [{split: x}]}\n", "has no id"),
        ("dataset_mixture: {datasets: [{id: a, weight: 2}]}\n", "from 0 to 1"),
    ],
)
def test_a_mixture_that_cannot_work_is_a_problem(wrong: One, text: str, said: str) -> None:
    assert said in wrong(text).message


def test_trl_s_datasets(data: Write) -> None:
    loaded = data(
        "datasets:\n  - path: a/b\n    name: sub\n    data_dir: d\n    columns: [text]\n    fraction: 3\n"
        "  - {path: c, split: x, data_files: {x: f.json, y: g.json}, fraction: 1}\n"
        "streaming: true\ntest_split_size: 0.1\nseed: 5\n"
    )

    assert loaded.mixture.sources == (
        Source(path="a/b", config="sub", split="train", data_files=("d/**",), keep_columns=("text",), fraction=3.0),
        Source(path="c", split="x", data_files=("f.json",), fraction=1.0),
    )
    assert (loaded.mixture.combine, loaded.mixture.held_out, loaded.mixture.seed) == ("trl", 0.1, 5)
    assert loaded.profile == "trl"
    assert {"streaming", "test_split_size"} <= {note.key for note in loaded.notes}
    assert loaded.values["output_dir"] == "trainer_output"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("datasets: [{path: a, fraction: 1}, {path: b}]\n", "some data sets and not for others"),
        ("datasets: [{path: a, weight: 1}]\n", "unknown key datasets.0.weight"),
        ("datasets: [{name: a}]\n", "has no path"),
        ("datasets: [{path: a, fraction: 0}]\n", "positive"),
    ],
)
def test_datasets_that_cannot_work_are_a_problem(problems: Problems, text: str, said: str) -> None:
    assert said in problems(MODEL + text, least=False)[0].message


def test_dataset_name_evaluates_only_when_asked(data: Write) -> None:
    silent = data("dataset_name: a/b\ndataset_config: c\ndataset_train_split: tr\n")
    asked = data("dataset_name: a/b\neval_strategy: steps\n")

    assert silent.mixture.sources == (Source(path="a/b", config="c", split="tr"),)
    assert silent.mixture.eval == ()
    assert asked.mixture.eval == (Source(path="a/b", split="test"),)
    assert silent.profile == "trl"


def test_dataset_name_of_the_handbook_of_2025(data: Write) -> None:
    assert data("dataset_name: a/b\nchat_template: '{{ x }}'\n").profile == "handbook-2025"


def test_dataset_name_beside_a_mixture_is_ignored_with_a_note(data: Write) -> None:
    loaded = data("dataset_name: a/b\ndatasets: [{path: c}]\n")

    assert [source.path for source in loaded.mixture.sources] == ["c"]
    assert any("dataset_name is ignored" in note.message for note in loaded.notes)


@pytest.mark.parametrize(
    "spelling",
    [
        "dataset_mixer: {a/b: 0.5}\n",
        "dataset_mixture: {datasets: [{id: a/b}]}\n",
        "datasets: [a/b]\n",
        "dataset_name: a/b\n",
    ],
)
def test_our_block_may_add_cleaning_to_data_in_another_spelling(data: Write, spelling: str) -> None:
    text = spelling + "mixture:\n  clean: {exact: true}\n  on_bad_rows: skip\n"

    loaded, plain = data(text), data(spelling)

    assert loaded.mixture.clean == replace(plain.mixture.clean, exact=True)
    assert loaded.mixture.on_bad_rows == "skip"
    assert (loaded.mixture.sources, loaded.profile) == (plain.mixture.sources, plain.profile)
    assert str(loaded.origins["mixture.clean.exact"]) == "recipe.yaml:4"
    assert not any("ignored" in note.message for note in loaded.notes)


def test_cleaning_alone_is_no_data(wrong: One) -> None:
    assert "no rows to train on" in wrong("mixture: {clean: {exact: true}}\n").message


def test_two_spellings_of_the_data_are_a_problem(problems: Problems) -> None:
    found = problems("dataset_mixer: {a: 1}\n")

    assert "both say what the data are" in found[0].message


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("mixture: a.jsonl\n", ["a.jsonl"]),
        ("mixture: [a, b]\n", ["a", "b"]),
        ("mixture:\n  sources: a\n", ["a"]),
        ("mixture:\n  sources: {path: a}\n", ["a"]),
        ("mixture:\n  sources: [a, {path: b}]\n", ["a", "b"]),
    ],
)
def test_our_own_block_may_be_short(data: Write, text: str, paths: list[str]) -> None:
    assert [source.path for source in data(text).mixture.sources] == paths


def test_our_own_block_in_full(data: Write) -> None:
    loaded = data(
        "mixture:\n  sources:\n    - path: a\n      name: n\n      columns: {messages: dialogue}\n"
        "      data_files: [x, y]\n"
        "      fraction: '5e-1'\n      shuffle: no\n  eval: [{path: b, rows: 10}]\n  seed: 1\n  on_bad_rows: skip\n"
        "eval_strategy: epoch\n"
    )

    source = loaded.mixture.sources[0]
    assert (source.label, dict(source.columns), source.data_files) == ("n", {"messages": "dialogue"}, ("x", "y"))
    assert (source.fraction, source.shuffle) == (0.5, False)
    assert (loaded.mixture.eval[0].rows, loaded.mixture.on_bad_rows, loaded.profile) == (10, "skip", "align")


@pytest.mark.parametrize(
    ("inside", "said", "hint"),
    [
        ("sources: [{path: a, weight: 1}]", "unknown key mixture.sources.0.weight", "fraction"),
        ("sources: [{path: a, fracton: 1}]", "unknown key mixture.sources.0.fracton", "did you mean fraction?"),
        ("sources: [{id: a}]", "unknown key mixture.sources.0.id", "path"),
        ("sources: [{path: a, fraction: 3}]", "a share of the source's own rows", "repeat: 3 trains on"),
        ("sources: [{path: a, fraction: -1}]", "from 0 to 1", "0 leaves the source out"),
        ("sources: [{path: a, rows: 0}]", "rows is 0", ""),
        ("sources: [{path: a, rows: 2, fraction: 0.1}]", "both say how much", "keep one"),
        ("sources: [{name: a}]", "has no path", "path:"),
        ("sources: [{path: a}, b]\n  x: 1", "unknown key mixture.x", "known:"),
        ("sources: [a]\n  on_bad_rows: ignore", "one of error, skip", ""),
        ("sources: [a]\n  held_out: 0", "more than 0", "remove it"),
        ("sources: [a]\n  held_out: 1.5", "a whole number", ""),
        ("sources: [a]\n  combine: handbok-2023", "did you mean handbook-2023 or", ""),
        ("sources: []", "no rows to train on", ""),
    ],
)
def test_what_is_wrong_in_our_block_is_said(wrong: One, inside: str, said: str, hint: str) -> None:
    found = wrong(f"mixture:\n  {inside}\n")

    assert said in found.message
    assert hint in found.hint
    assert found.where.startswith("recipe.yaml:")


def test_a_recipe_without_data_says_so(wrong: One) -> None:
    assert "names no data" in wrong("seed: 1\n").message
