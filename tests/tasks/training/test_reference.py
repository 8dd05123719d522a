"""The stored reference: one store for one question, whole rows, nothing computed twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from align_cli.tasks.training.reference import Store, complete, open_store

COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))


def fill(store: Store, wanted: list[int], said: list[str] | None = None, stop_after: int = 1000) -> list[list[int]]:
    """The batches that had to be computed."""
    asked: list[list[int]] = []

    def compute(batch: list[int]) -> np.ndarray:
        asked.append(batch)
        return np.array([[row, -row] for row in batch], np.float32)

    complete(
        store,
        np.array(wanted),
        np.full(store.rows, 10),
        compute,
        at_once=20,
        say=(said if said is not None else []).append,
        stopped=lambda: len(asked) >= stop_after,
    )
    return asked


@pytest.mark.parametrize("change", [{"data": "b"}, {"model": "n"}, {"weights": "bfloat16"}, {"split": "eval"}])
def test_other_data_or_another_model_with_as_many_rows_has_a_store_of_its_own(change: dict[str, str]):
    made_of = {"data": "a", "split": "train", "model": "m", "weights": "float32"}
    first = open_store(made_of, COLUMNS, 4)
    fill(first, [0, 1, 2, 3])

    other = open_store(made_of | change, COLUMNS, 4)

    assert other.path != first.path
    assert np.isnan(other.read()).all()
    assert open_store(made_of, COLUMNS, 4).path == first.path


def test_a_second_pass_computes_nothing_and_says_so():
    store = open_store({"data": "a"}, COLUMNS, 4)
    said: list[str] = []

    assert fill(store, [0, 1, 2, 3])
    assert not fill(store, [0, 1, 2, 3], said)

    assert said == ["reference: the log-probabilities of all 4 rows are stored from before"]
    assert store.read().tolist() == [[row, -row] for row in range(4)]


def test_a_pass_that_was_stopped_keeps_what_it_computed():
    store = open_store({"data": "a"}, COLUMNS, 6)

    first = fill(store, list(range(6)), stop_after=1)
    rest = fill(store, list(range(6)))

    assert sorted(row for batch in first + rest for row in batch) == list(range(6))
    assert np.isfinite(store.read()).all()
