from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.tasks.preparing.sequences.packing import Packed, Strategy, pack

LENGTHS = st.lists(st.integers(0, 50), max_size=60)


def packed(lengths: list[int], max_length: int, strategy: Strategy, **options: bool) -> Packed:
    return pack(np.array(lengths, np.int64), max_length, strategy, **options)


def sequences(result: Packed) -> list[list[tuple[int, int]]]:
    """Per sequence, the (start, length) of its pieces."""
    pairs = list(zip(result.starts.tolist(), result.lengths.tolist(), strict=True))
    return [pairs[a:b] for a, b in zip(result.bounds.tolist(), result.bounds[1:].tolist(), strict=False)]


def test_the_example_of_trls_documentation() -> None:
    result = packed([5, 2, 3, 1], 4, "bfd")

    assert sequences(result) == [[(0, 4)], [(7, 3), (10, 1)], [(5, 2)]]


def test_splitting_keeps_what_cutting_loses() -> None:
    result = packed([5, 2, 3, 1], 4, "bfd_split")

    assert int(result.lengths.sum()) == 11
    assert sorted(piece for sequence in sequences(result) for piece in sequence) == [
        (0, 4),
        (4, 1),
        (5, 2),
        (7, 3),
        (10, 1),
    ]


def test_wrapping_cuts_the_stream_of_all_rows() -> None:
    assert sequences(packed([5, 2, 3, 1], 4, "wrapped")) == [[(0, 4)], [(4, 4)], [(8, 3)]]


def test_wrapping_drops_the_remainder_on_request() -> None:
    assert sequences(packed([5, 2, 3, 1], 4, "wrapped", drop_remainder=True)) == [[(0, 4)], [(4, 4)]]


@pytest.mark.parametrize("strategy", ["bfd", "bfd_split", "wrapped"])
def test_no_rows_make_no_sequences(strategy: Strategy) -> None:
    result = packed([], 8, strategy)

    assert len(result) == 0
    assert result.fill(8) == 0


@given(LENGTHS, st.integers(1, 40), st.sampled_from(["bfd", "bfd_split", "wrapped"]))
def test_no_sequence_is_empty_or_too_long_and_no_token_is_taken_twice(
    lengths: list[int], max_length: int, strategy: Strategy
) -> None:
    result = packed(lengths, max_length, strategy)

    totals = [sum(length for _, length in sequence) for sequence in sequences(result)]
    tokens = [start + i for sequence in sequences(result) for start, length in sequence for i in range(length)]
    assert all(0 < total <= max_length for total in totals)
    assert len(tokens) == len(set(tokens))
    kept = sum(min(length, max_length) for length in lengths) if strategy == "bfd" else sum(lengths)
    assert len(tokens) == kept


@given(LENGTHS, st.integers(50, 80))
def test_every_piece_went_where_it_left_the_least_room(lengths: list[int], max_length: int) -> None:
    result = packed(lengths, max_length, "bfd")

    # The plain algorithm: longest first, into the fullest sequence that still holds it.
    totals: list[int] = []
    for length in sorted((length for length in lengths if length), reverse=True):
        fitting = [i for i, total in enumerate(totals) if total + length <= max_length]
        if fitting:
            totals[max(fitting, key=lambda i: totals[i])] += length
        else:
            totals.append(length)
    assert sorted(sum(length for _, length in sequence) for sequence in sequences(result)) == sorted(totals)
