from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from align_cli.evals.alpacaeval.winrates import preference_of, win_rates

MODELS = ("model_long", "model_short", "model_messy")


@pytest.mark.parametrize("model", MODELS)
def test_win_rates_are_those_of_alpaca_eval(synth: Path, model: str) -> None:
    expected = json.loads((synth / "expected.json").read_text())["expected"][model]
    annotations = json.loads((synth / f"annotations_{model}.json").read_text())

    found = win_rates([preference_of(one["preference"]) for one in annotations])

    assert {name: getattr(found, name) for name in found.__slots__} == {
        name: pytest.approx(expected[name], abs=1e-9) for name in found.__slots__
    }


def test_a_draw_is_half_a_win_and_no_verdict_is_nothing() -> None:
    found = win_rates([1.0, 0.5, None, 0.25, None])

    assert (found.n_wins, found.n_wins_base, found.n_draws, found.n_total) == (1, 1, 1, 3)
    assert found.win_rate == pytest.approx(100 * 1.75 / 3)
    assert found.discrete_win_rate == 50


def test_a_single_verdict_has_no_standard_error() -> None:
    found = win_rates([1.0])

    assert found.win_rate == 100
    assert found.standard_error is None


@pytest.mark.parametrize("preferences", [[], [None, None]])
def test_without_verdicts_there_are_no_rates(preferences: list[float | None]) -> None:
    found = win_rates(preferences)

    assert (found.win_rate, found.standard_error, found.discrete_win_rate, found.n_total) == (None, None, None, 0)


@pytest.mark.parametrize(
    ("stored", "ours"), [(1, 0.0), (2, 1.0), (2.0, 1.0), (1.5, 0.5), (1.25, 0.25), (0, 0.5), (0.0, 0.5)]
)
def test_a_stored_preference_is_ours_and_one_more(stored: float, ours: float) -> None:
    assert preference_of(stored) == ours


@pytest.mark.parametrize("stored", [None, math.nan, -1, 3, 0.5, 2.5, math.inf, "1", True, [1]])
def test_anything_else_is_no_verdict(stored: object) -> None:
    assert preference_of(stored) is None
