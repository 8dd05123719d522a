from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.cli.render import axes

FINITE = st.floats(-1e12, 1e12, allow_nan=False)


@given(st.lists(FINITE, min_size=1, max_size=20), st.integers(2, 8))
def test_a_linear_axis_holds_all_values_between_few_ticks(values, most):
    axis = axes.linear(values, most)

    room = 1e-9 * max(1.0, abs(axis.low), abs(axis.high))
    assert axis.low < axis.high
    assert axis.low - room <= min(values) <= max(values) <= axis.high + room
    assert 2 <= len(axis.ticks) == len(axis.labels) <= most + 2


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=20), st.integers(3, 8))
def test_a_logarithmic_axis_holds_all_values(values, most):
    axis = axes.logarithmic(values, most)

    assert axis.low <= math.log10(min(values)) <= math.log10(max(values)) <= axis.high
    assert axis.low < axis.high
    assert 1 <= len(axis.ticks) == len(axis.labels) <= most


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.1, 0.45], ["0.1", "0.2", "0.3", "0.4", "0.5"]),
        ([2.45, 5.6], ["2", "3", "4", "5", "6"]),
        ([0, 40_000], ["0", "10000", "20000", "30000", "40000"]),
        ([-1.0, 0.5], ["-1", "-0.5", "0", "0.5"]),
    ],
)
def test_ticks_are_round(values, labels):
    assert axes.linear(values, 5).labels == labels


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_ticks_have_labels_that_tell_them_apart(values):
    labels = axes.linear(values, 5).labels

    assert len(set(labels)) == len(labels)


def test_steps_are_whole():
    assert axes.linear([1, 3], 6, whole=True).labels == ["1", "2", "3"]
