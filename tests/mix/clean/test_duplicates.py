from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.mix.clean import duplicates


def signatures(seed: int, count: int, change: float) -> np.ndarray:
    """Rows that are copies of a few, each with a part of its numbers changed."""
    random = np.random.default_rng(seed)
    origins = random.integers(0, 2**32, (3, 128), np.uint32)
    rows = origins[random.integers(0, 3, count)]
    noise = random.random((count, 128)) < random.random((count, 1)) * change
    rows[noise] = random.integers(0, 2**32, int(noise.sum()), np.uint32)
    return rows


def one_by_one(rows: np.ndarray, threshold: float) -> list[int]:
    """The definition: a row goes when an earlier one that stays, and shares a band with it, is like it."""
    bands, width = duplicates.bands(threshold, 128)
    of: list[int] = []
    for number, row in enumerate(rows):
        first = -1
        for other in range(number):
            same = rows[other] == row
            meet = same[: bands * width].reshape(bands, width).all(axis=1).any()
            if of[other] < 0 and meet and same.mean() >= threshold:
                first = other
                break
        of.append(first)
    return of


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 14), st.sampled_from([0.5, 0.7, 0.85, 1.0]), st.floats(0, 0.6))
def test_a_row_goes_when_it_is_like_an_earlier_one_that_stays(
    seed: int, count: int, threshold: float, change: float
) -> None:
    rows = signatures(seed, count, change)

    found = duplicates.find(None, rows, threshold)

    assert found.of.tolist() == one_by_one(rows, threshold)
    assert np.array_equal(found.near, found.of >= 0)


@given(st.lists(st.integers(0, 4), max_size=30))
def test_equal_rows_repeat_the_first_of_them(numbers: list[int]) -> None:
    hashes = np.array([(number % 2, number // 2) for number in numbers], np.uint64).reshape(-1, 2)

    found = duplicates.find(hashes, None, None)

    assert found.of.tolist() == [
        numbers.index(number) if numbers.index(number) < place else -1 for place, number in enumerate(numbers)
    ]
    assert not found.near.any()


def test_a_chain_is_not_pulled_down_by_its_middle() -> None:
    first = np.arange(128, dtype=np.uint32)
    middle, last = first.copy(), first.copy()
    middle[:12] += 1000
    last[:24] += 1000  # like the middle (0.91), not like the first (0.81)
    rows = np.stack([first, middle, last])

    found = duplicates.find(None, rows, 0.85)

    assert found.of.tolist() == [-1, 0, -1]


def test_in_a_crowd_every_copy_is_found() -> None:
    rows = np.repeat(signatures(1, 3, 0.5)[:, None], 3000, axis=1).reshape(-1, 128)
    rows = rows[np.random.default_rng(0).permutation(len(rows))]

    found = duplicates.find(None, rows, 0.85)

    assert (found.of < 0).sum() == len(np.unique(rows, axis=0))


def test_near_duplicates_are_sought_among_rows_that_are_not_equal() -> None:
    rows = signatures(0, 1, 0).repeat(3, axis=0)
    rows[2, 0] += 1
    hashes = np.array([(0, 0), (0, 0), (1, 1)], np.uint64)

    found = duplicates.find(hashes, rows, 0.85)

    assert found.of.tolist() == [-1, 0, 0]
    assert found.near.tolist() == [False, False, True]


def test_signatures_may_lie_in_a_file(tmp_path: Path) -> None:
    rows = signatures(7, 5000, 0.4)
    rows.tofile(tmp_path / "signatures")
    mapped = np.memmap(tmp_path / "signatures", np.uint32, "r").reshape(-1, 128)

    assert np.array_equal(duplicates.find(None, mapped, 0.8).of, duplicates.find(None, rows, 0.8).of)


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0])
def test_bands_lose_few_pairs_at_the_threshold(threshold: float) -> None:
    count, width = duplicates.bands(threshold, 128)

    assert count * width <= 128
    assert 1 - (1 - threshold**width) ** count >= 0.98


def test_nothing_to_look_at() -> None:
    assert len(duplicates.find(None, None, None).of) == 0
    assert len(duplicates.find(np.empty((0, 2), np.uint64), np.empty((0, 128), np.uint32), 0.9).of) == 0
