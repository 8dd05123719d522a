"""What the mixing arithmetic assumes of `datasets` and `trl`: the same rows in the same order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align_cli.mix.order.arithmetic import Order, Take, Wish, choose, choose_eval

datasets = pytest.importorskip("datasets")

SIZES = (57, 200, 31)


def sources(sizes: tuple[int, ...] = SIZES) -> list[Any]:
    return [
        datasets.Dataset.from_dict({"source": [number] * size, "row": list(range(size))})
        for number, size in enumerate(sizes)
    ]


def theirs(data: Any) -> list[tuple[Any, int]]:
    return list(zip(data["source"], data["row"], strict=True))


def ours(order: Order) -> list[tuple[int, int]]:
    return list(zip(order.source.tolist(), order.row.tolist(), strict=True))


@pytest.mark.parametrize("seed", [0, 42])
def test_shuffle_is_numpys_default_generator(seed: int) -> None:
    data = sources((100,))[0].shuffle(seed=seed)

    order = choose([Take(available=100)], Wish(combine="handbook-2023", seed=seed)).train

    assert ours(order) == theirs(data)


def test_the_first_handbook_takes_first_rows_concatenates_and_shuffles() -> None:
    fractions = (0.29, 0.5, 1)
    parts = [data.select(range(int(share * len(data)))) for data, share in zip(sources(), fractions, strict=True)]

    takes = [Take(available=size, fraction=share) for size, share in zip(SIZES, fractions, strict=True)]
    chosen = choose(takes, Wish(combine="handbook-2023"))

    assert ours(chosen.train) == theirs(datasets.concatenate_datasets(parts).shuffle(seed=42))
    whole = datasets.concatenate_datasets(sources()).shuffle(seed=42)
    assert ours(choose_eval(takes, Wish(combine="handbook-2023"))) == theirs(whole)


@pytest.mark.parametrize("held_out", [None, 25, 0.1])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_second_handbook_shuffles_each_source_then_all_then_splits(seed: int, held_out: float | int | None) -> None:
    weights: tuple[float | None, ...] = (0.29, 1.0, None)
    parts = []
    for data, weight in zip(sources(), weights, strict=True):
        parts.append(data if weight is None else data.shuffle(seed=seed).select(range(int(len(data) * weight))))
    together = datasets.concatenate_datasets(parts).shuffle(seed=seed)

    takes = [Take(available=size, fraction=weight) for size, weight in zip(SIZES, weights, strict=True)]
    chosen = choose(takes, Wish(combine="handbook-2025", seed=seed, held_out=held_out))

    if held_out is None:
        assert ours(chosen.train) == theirs(together)
    else:
        split = together.train_test_split(test_size=held_out, seed=seed)
        assert ours(chosen.train) == theirs(split["train"])
        assert ours(chosen.held_out) == theirs(split["test"])


# -- from a recipe as it was written: the original loaders' code, with their `load_dataset` replaced by a table --------

Shelf = dict[tuple[str, str | None, str], Any]


@pytest.fixture
def shelf() -> Shelf:
    """Data sets by (name, config, split); each row knows where it is from."""
    sizes: dict[tuple[str, str | None, str], int] = {
        ("a", "x", "train"): 57,
        ("a", "x", "train_x"): 23,
        ("a", "x", "test"): 9,
    }
    sizes |= {("b", None, "train"): 200, ("b", None, "train_x"): 31, ("b", None, "test"): 17}
    return {
        key: datasets.Dataset.from_dict(
            {"source": ["/".join(map(str, key))] * size, "row": list(range(size)), "z": [0] * size}
        )
        for key, size in sizes.items()
    }


def mixed_in_2023(shelf: Shelf, mixer: dict[str, float], splits: list[str], configs: list[str | None]) -> Any:
    """`mix_datasets`, alignment-handbook c8f5bdf, src/alignment/data.py:179-256."""
    raw_datasets = {}
    raw_train_datasets, raw_val_datasets, fracs = [], [], []
    for (ds, frac), ds_config in zip(mixer.items(), configs, strict=True):
        fracs.append(frac)
        for split in splits:
            dataset = shelf[ds, ds_config, split]
            dataset = dataset.remove_columns([col for col in dataset.column_names if col not in ["source", "row"]])
            if "train" in split:
                raw_train_datasets.append(dataset)
            elif "test" in split:
                raw_val_datasets.append(dataset)
    train_subsets = []
    for dataset, frac in zip(raw_train_datasets, fracs, strict=False):
        train_subsets.append(dataset.select(range(int(frac * len(dataset)))))
    raw_datasets["train"] = datasets.concatenate_datasets(train_subsets).shuffle(seed=42)
    if raw_val_datasets:
        raw_datasets["test"] = datasets.concatenate_datasets(raw_val_datasets).shuffle(seed=42)
    return raw_datasets


def mixed_in_2025(shelf: Shelf, entries: list[dict[str, Any]], seed: int, test_split_size: float | int | None) -> Any:
    """`get_dataset`, alignment-handbook HEAD, src/alignment/data.py:26-79; defaults of configs.py:56-130."""
    datasets_list = []
    for entry in entries:
        ds = shelf[entry["id"], entry.get("config"), entry.get("split", "train")]
        ds = ds.select_columns(["source", "row"])
        weight = entry.get("weight", 1.0)
        if weight is not None:
            ds = ds.shuffle(seed=seed).select(range(int(len(ds) * weight)))
        datasets_list.append(ds)
    combined = datasets.concatenate_datasets(datasets_list).shuffle(seed=seed)
    if test_split_size is not None:
        return combined.train_test_split(test_size=test_split_size, seed=seed)
    return {"train": combined}


def chosen_here(shelf: Shelf, text: str, folder: Path) -> dict[str, list[tuple[str, int]]]:
    """The rows that our reading of a recipe takes of the same data sets."""
    from align_cli.recipe.load import load
    from tests.recipe.conftest import task

    path = folder / "recipe.yaml"
    path.write_text("model_name_or_path: m\n" + text)
    mixture = load([str(path)], task()).mixture
    wish = Wish(combine=mixture.combine, seed=mixture.seed, held_out=mixture.held_out)

    def named(sources: Any, order: Order) -> list[tuple[str, int]]:
        keys = ["/".join(map(str, (one.path, one.config, one.split))) for one in sources]
        return [(keys[source], row) for source, row in ours(order)]

    def takes(sources: Any) -> list[Take]:
        return [
            Take(
                available=len(shelf[one.path, one.config, one.split]),
                fraction=one.fraction,
                shuffle=one.shuffle,
            )
            for one in sources
        ]

    chosen = choose(takes(mixture.sources), wish)
    if mixture.eval:
        test = named(mixture.eval, choose_eval(takes(mixture.eval), wish))
    else:
        test = named(mixture.sources, chosen.held_out)
    return {"train": named(mixture.sources, chosen.train), "test": test}


def test_a_mixer_s_configs_and_splits_give_the_rows_of_2023(shelf: Shelf, tmp_path: Path) -> None:
    text = "dataset_mixer: {a: 0.29, b: 0.07}\ndataset_splits: [train, test]\ndataset_configs: [x, null]\n"

    found = chosen_here(shelf, text, tmp_path)

    original = mixed_in_2023(shelf, {"a": 0.29, "b": 0.07}, ["train", "test"], ["x", None])
    assert found["train"] == theirs(original["train"])
    assert found["test"] == theirs(original["test"])


def test_two_training_splits_of_one_data_set_give_it_the_fraction_in_both(shelf: Shelf, tmp_path: Path) -> None:
    """The original's second split takes the second data set's fraction, and the second data set is lost."""
    text = "dataset_mixer: {a: 0.5, b: 0.25}\ndataset_splits: [train, train_x]\ndataset_configs: [x, null]\n"

    found = chosen_here(shelf, text, tmp_path)

    original = mixed_in_2023(shelf, {"a": 0.5, "b": 0.25}, ["train", "train_x"], ["x", None])
    assert {source for source, _ in theirs(original["train"])} == {"a/x/train", "a/x/train_x"}
    parts = [("a", "x", "train", 0.5), ("a", "x", "train_x", 0.5), ("b", None, "train", 0.25)]
    parts.append(("b", None, "train_x", 0.25))
    meant = [shelf[name, config, split] for name, config, split, _ in parts]
    subsets = [data.select(range(int(part[3] * len(data)))) for data, part in zip(meant, parts, strict=True)]
    assert found["train"] == theirs(datasets.concatenate_datasets(subsets).shuffle(seed=42))


@pytest.mark.parametrize("size", [None, 12, 0.1])
def test_a_mixture_with_and_without_weights_gives_the_rows_of_2025(
    shelf: Shelf, tmp_path: Path, size: float | int | None
) -> None:
    entries: list[dict[str, Any]] = [
        {"id": "a", "config": "x", "split": "train", "weight": 0.29},
        {"id": "b", "weight": None},
        {"id": "b", "split": "train_x"},
        {"id": "a", "config": "x", "split": "test", "weight": 0.01},
    ]
    mixture = {"datasets": entries, "seed": 3} | ({"test_split_size": size} if size is not None else {})

    found = chosen_here(shelf, f"dataset_mixture: {json.dumps(mixture)}\n", tmp_path)

    original = mixed_in_2025(shelf, entries, 3, size)
    assert found["train"] == theirs(original["train"])
    assert found["test"] == (theirs(original["test"]) if size is not None else [])


def test_dataset_name_takes_its_splits_as_they_are(shelf: Shelf, tmp_path: Path) -> None:
    text = "dataset_name: a\ndataset_config: x\ndataset_train_split: train_x\neval_strategy: epoch\n"

    found = chosen_here(shelf, text, tmp_path)

    assert found["train"] == theirs(shelf["a", "x", "train_x"])
    assert found["test"] == theirs(shelf["a", "x", "test"])


@pytest.mark.slow
@pytest.mark.parametrize("fractions", [(None, None, None), (0.5, 0.25, 0.25), (1, 2, 0), (0.1, 0.7, 0.3)])
def test_trl_takes_shares_of_the_mixture(tmp_path: Path, fractions: tuple[float | None, ...]) -> None:
    utils = pytest.importorskip("trl.scripts.utils")
    entries = []
    for number, data in enumerate(sources()):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in data))
        entries.append(utils.DatasetConfig(path="json", data_files=str(path), fraction=fractions[number]))
    data = utils.get_dataset(utils.DatasetMixtureConfig(datasets=entries))["train"]

    takes = [Take(available=size, fraction=share) for size, share in zip(SIZES, fractions, strict=True)]

    assert ours(choose(takes, Wish(combine="trl", seed=0)).train) == theirs(data)


def test_our_files_open_as_a_dataset(tmp_path: Path) -> None:
    from align_cli.mix.build import build
    from align_cli.recipe.schema import Mixture, Source

    row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(row)}\n" * 3)

    built = build(Mixture(sources=(Source(path=str(tmp_path / "a.jsonl")),)), ("messages",))
    data = datasets.Dataset.from_file(str(built.folder / "train.arrow"))

    assert data.to_list() == [{**row, "source": 0, "place": place} for place in range(3)]


@pytest.mark.parametrize("expression", ["train[:10%]", "train[33%:66%]", "train[-5:]", "train[10:20]+train[:3]"])
def test_split_expressions_mean_what_they_mean_in_datasets(expression: str) -> None:
    from datasets.arrow_reader import ReadInstruction

    from align_cli.mix.sources import splits

    absolute = ReadInstruction.from_spec(expression).to_absolute({"train": 77})

    assert [term.bounds(77) for term in splits.parse(expression)] == [(part.from_, part.to) for part in absolute]
