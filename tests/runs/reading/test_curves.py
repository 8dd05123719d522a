from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.errors import UsageError
from align_cli.runs.metrics import Log
from align_cli.runs.reading import curves
from tests.runs import folders

SFT = Log(folders.falling(), 0)
DPO = Log(folders.preferring(), 0)


def titles(pictures):
    return [picture.title for picture in pictures]


def test_a_preference_run_shows_rewards_margins_and_accuracies():
    made = curves.pictures([("a", DPO)])

    assert titles(made) == ["loss", "rewards", "reward margin", "reward accuracy"]
    assert [curve.metric for curve in made[1].curves] == [
        "rewards/chosen",
        "eval_rewards/chosen",
        "rewards/rejected",
        "eval_rewards/rejected",
    ]


def test_a_reward_model_has_its_own_names_for_margin_and_accuracy():
    log = Log([{"step": 1, "loss": 0.7, "margin": 0.1, "accuracy": 0.6, "mean_reward": 0.0}], 0)

    assert titles(curves.pictures([("a", log)])) == ["loss", "reward margin", "reward accuracy"]


def test_a_run_with_no_known_metric_is_drawn_by_the_names_it_has():
    log = Log([{"step": 1, "teacher/agreement": 0.5, "epoch": 0.1}], 0)

    assert titles(curves.pictures([("a", log)])) == ["teacher/agreement"]


def test_a_metric_asked_for_brings_its_evaluation():
    (picture,) = curves.pictures([("a", SFT)], metrics=["loss"])

    assert [(curve.metric, len(curve.steps)) for curve in picture.curves] == [("loss", 20), ("eval_loss", 4)]


def test_several_runs_share_a_picture():
    (picture,) = curves.pictures([("a", SFT), ("b", DPO)], metrics=["loss"])

    assert [(curve.run, curve.metric) for curve in picture.curves] == [
        ("a", "loss"),
        ("b", "loss"),
        ("a", "eval_loss"),
        ("b", "eval_loss"),
    ]


def test_a_misspelt_metric_is_suggested():
    with pytest.raises(UsageError, match='no metric "rewards/chose" was logged') as caught:
        curves.pictures([("a", DPO)], metrics=["rewards/chose"])

    assert "did you mean rewards/chosen" in caught.value.hint


def test_nothing_logged_is_nothing_to_draw():
    with pytest.raises(UsageError, match="the run has logged no metric yet"):
        curves.pictures([("a", Log([], 0))])


def test_a_loss_that_was_not_finite_is_a_gap_that_is_counted():
    log = Log([{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}, {"step": 3, "loss": 1.0}], 0)

    curve = curves.of("a", log, "loss")

    assert (curve.steps, curve.values, curve.num_missing) == ([1, 3], [2.0, 1.0], 1)


def test_a_logarithmic_scale_leaves_out_what_it_has_no_place_for():
    log = Log([{"step": 1, "kl": 0.0}, {"step": 2, "kl": -1.0}, {"step": 3, "kl": 0.5}], 0)

    curve = curves.of("a", log, "kl", is_logarithmic=True)

    assert (curve.steps, curve.num_missing) == ([3], 2)


def test_the_clocks_and_sums_of_the_closing_line_are_not_drawn():
    log = Log([*folders.falling(), {"step": 40, "train_runtime": 3.0, "train_loss": 2.0, "total_flos": 1e9}], 0)

    assert curves.available(log) == ["loss", "epoch", "num_tokens", "eval_loss"]


def test_evaluations_are_not_smoothed():
    plain, smooth = (curves.of("a", SFT, "eval_loss", smoothing=by) for by in (0.0, 0.9))

    assert plain == smooth


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 0.999))
def test_smoothing_stays_within_the_values_and_keeps_the_first(values, by):
    found = curves.smoothed(values, by)

    room = 1e-6 * max(1.0, max(map(abs, values)))
    assert len(found) == len(values)
    assert found[0] == pytest.approx(values[0])
    assert all(min(values) - room <= value <= max(values) + room for value in found)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_no_smoothing_changes_nothing(values):
    assert curves.smoothed(values, 0.0) == values


def test_smoothing_by_hand():
    # (0.5 * 1 + 1 * 3) * 0.5 / (1 - 0.25) and (0.25 * 1 + 0.5 * 3 + 1 * 2) * 0.5 / (1 - 0.125)
    assert curves.smoothed([1.0, 3.0, 2.0], 0.5) == pytest.approx([1.0, 7 / 3, 15 / 7])


def test_the_document_has_every_point():
    (picture,) = curves.as_document(curves.pictures([("a", SFT)], metrics=["eval_loss"]))

    assert picture["curves"][0]["points"] == [[10, 0.5], [20, 0.25], [30, 5.0 / 30], [40, 0.625]]
