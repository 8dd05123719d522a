"""What the mixing arithmetic assumes of `datasets` and `trl`: the same rows in the same order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align_cli.mix.arithmetic import Order, Take, choose, choose_eval

datasets = pytest.importorskip("datasets")

SIZES = (57, 200, 31)


def sources(sizes: tuple[int, ...] = SIZES) -> list[Any]:
    return [
        datasets.Dataset.from_dict({"source": [number] * size, "row": list(range(size))})
        for number, size in enumerate(sizes)
    ]


def theirs(data: Any) -> list[tuple[int, int]]:
    return list(zip(data["source"], data["row"], strict=True))


def ours(order: Order) -> list[tuple[int, int]]:
    return list(zip(order.source.tolist(), order.row.tolist(), strict=True))


@pytest.mark.parametrize("seed", [0, 42])
def test_shuffle_is_numpys_default_generator(seed: int) -> None:
    data = sources((100,))[0].shuffle(seed=seed)

    order = choose([Take(available=100)], combine="handbook-2023", seed=seed, held_out=None).train

    assert ours(order) == theirs(data)


def test_the_first_handbook_takes_first_rows_concatenates_and_shuffles() -> None:
    fractions = (0.29, 0.5, 1)
    parts = [data.select(range(int(share * len(data)))) for data, share in zip(sources(), fractions, strict=True)]

    takes = [Take(available=size, fraction=share) for size, share in zip(SIZES, fractions, strict=True)]
    chosen = choose(takes, combine="handbook-2023", seed=42, held_out=None)

    assert ours(chosen.train) == theirs(datasets.concatenate_datasets(parts).shuffle(seed=42))
    whole = datasets.concatenate_datasets(sources()).shuffle(seed=42)
    assert ours(choose_eval(takes, combine="handbook-2023", seed=42)) == theirs(whole)


@pytest.mark.parametrize("held_out", [None, 25, 0.1])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_second_handbook_shuffles_each_source_then_all_then_splits(seed: int, held_out: float | int | None) -> None:
    weights: tuple[float | None, ...] = (0.29, 1.0, None)
    parts = []
    for data, weight in zip(sources(), weights, strict=True):
        parts.append(data if weight is None else data.shuffle(seed=seed).select(range(int(len(data) * weight))))
    together = datasets.concatenate_datasets(parts).shuffle(seed=seed)

    takes = [Take(available=size, fraction=weight) for size, weight in zip(SIZES, weights, strict=True)]
    chosen = choose(takes, combine="handbook-2025", seed=seed, held_out=held_out)

    if held_out is None:
        assert ours(chosen.train) == theirs(together)
    else:
        split = together.train_test_split(test_size=held_out, seed=seed)
        assert ours(chosen.train) == theirs(split["train"])
        assert ours(chosen.held_out) == theirs(split["test"])


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

    assert ours(choose(takes, combine="trl", seed=0, held_out=None).train) == theirs(data)


def test_our_files_open_as_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from align_cli.mix.build import build
    from align_cli.recipe.schema import Mixture, Source

    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(row)}\n" * 3)

    built = build(Mixture(sources=(Source(path=str(tmp_path / "a.jsonl")),)), ("messages",))
    data = datasets.Dataset.from_file(str(built.folder / "train.arrow"))

    assert data.to_list() == [{**row, "source": 0}] * 3


@pytest.mark.parametrize("expression", ["train[:10%]", "train[33%:66%]", "train[-5:]", "train[10:20]+train[:3]"])
def test_split_expressions_mean_what_they_mean_in_datasets(expression: str) -> None:
    from datasets.arrow_reader import ReadInstruction

    from align_cli.mix import splits

    absolute = ReadInstruction.from_spec(expression).to_absolute({"train": 77})

    assert [term.bounds(77) for term in splits.parse(expression)] == [(part.from_, part.to) for part in absolute]
