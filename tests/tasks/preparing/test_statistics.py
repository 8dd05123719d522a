from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.models.tokenizer import Tokenizer, load
from align_cli.tasks.preparing.encoding import Encoded
from align_cli.tasks.preparing.statistics import Statistics, histogram, segments
from tests.models.tiny import tiny_model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load(tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@given(st.lists(st.integers(0, 5000), max_size=50))
def test_every_row_is_in_exactly_one_bin(lengths: list[int]) -> None:
    made = histogram(np.array(lengths, np.int32))

    pairs = list(zip(made["edges"], made["edges"][1:], strict=False))
    assert made["counts"] == [sum(low <= length < high for length in lengths) for low, high in pairs]
    assert sum(made["counts"]) == len(lengths)


@pytest.mark.parametrize("limit", [16, 64, 512, 1024, 2048])
def test_a_round_limit_lies_between_two_bins(limit: int) -> None:
    edges = histogram(np.array([limit, limit + 1, 4000], np.int32))["edges"]

    assert limit + 1 in edges


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.integers(0, 9)), max_size=20))
def test_the_sources_counts_add_up_to_the_whole(rows: list[tuple[int, int, int]]) -> None:
    counted = Statistics(3)
    sources = np.array([source for source, _, _ in rows], np.int64)
    lengths = np.array([length for _, length, _ in rows], np.int64)
    trained = [token < in_loss for _, length, in_loss in rows for token in range(length)]
    encoded = Encoded(np.arange(lengths.sum(), dtype=np.int32), np.array(trained, bool), lengths)

    counted.count("rows", sources)
    counted.keep(sources, encoded.lengths, encoded.trained_per_row())

    each = [counted.of_source(number) for number in range(3)]
    assert [one["rows"] for one in each] == [int((sources == number).sum()) for number in range(3)]
    assert sum(one["tokens"] for one in each) == counted.total("tokens") == lengths.sum()
    assert sum(one["in_loss"] for one in each) == counted.as_dict()["tokens"]["in_loss"] == sum(trained)


@given(text=st.text(max_size=12), data=st.data())
def test_segments_alternate_and_hold_all_of_the_text(tokenizer: Tokenizer, text: str, data: st.DataObject) -> None:
    ids = tokenizer.backend.encode(text).ids
    mask = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))

    made = segments(ids, mask, tokenizer)

    assert [in_loss for _, in_loss in made] == [bit for i, bit in enumerate(mask) if i == 0 or bit != mask[i - 1]]
    if text.isascii():
        assert "".join(piece for piece, _ in made) == text


def test_an_empty_row_has_no_segments(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert segments([], [], tokenizer) == []
