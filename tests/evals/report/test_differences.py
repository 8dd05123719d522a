"""Paired differences between two models."""

from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.evals.mtbench import BENCHMARK
from tests.evals.report.building import alone, evaluation, questions, report, scored
from tests.evals.report.conftest import Imported

ASKED = questions(6)
OURS = {(number, 1): float(score) for number, score in enumerate((9, 3, 7, 2, 8, 5))}
THEIRS = {(number, 1): float(score) for number, score in enumerate((8, 3, 9, 1, 7))}


def test_only_what_both_were_judged_on_is_compared(tmp_path: Path) -> None:
    ours, theirs = (scored(tmp_path / name, name, scores, ASKED) for name, scores in (("a", OURS), ("b", THEIRS)))

    (found,) = report([ours], ASKED, against=theirs).differences

    assert (found.model, found.against, found.scores.overall.n) == ("a", "b", 5)
    assert found.scores.overall.value == pytest.approx((1 + 0 - 2 + 1 + 1) / 5)
    assert (found.better, found.equal, found.worse) == (3, 1, 1)


def test_the_difference_the_other_way_round_is_the_opposite(tmp_path: Path) -> None:
    ours, theirs = (scored(tmp_path / name, name, scores, ASKED) for name, scores in (("a", OURS), ("b", THEIRS)))

    (found,) = report([ours], ASKED, against=theirs).differences
    (turned,) = report([theirs], ASKED, against=ours).differences

    one, other = found.scores.overall, turned.scores.overall
    assert one.value == -other.value
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert (found.better, found.worse) == (turned.worse, turned.better)


def test_a_model_that_is_everywhere_one_better_is_better_for_sure(tmp_path: Path) -> None:
    better = {place: score + 1 for place, score in OURS.items()}
    ours, theirs = (scored(tmp_path / name, name, scores, ASKED) for name, scores in (("a", better), ("b", OURS)))

    (found,) = report([ours], ASKED, against=theirs).differences

    assert (found.scores.overall.low, found.scores.overall.high) == (1.0, 1.0)


def test_an_answer_with_several_verdicts_is_compared_by_their_mean(tmp_path: Path) -> None:
    ours = evaluation(tmp_path / "a", "a", [alone("a", 0, 1, 4.0), alone("a", 0, 1, 8.0, time=2)])
    theirs = evaluation(tmp_path / "b", "b", [alone("b", 0, 1, 5.0)])

    (found,) = report([ours], ASKED, against=theirs).differences

    assert (found.scores.overall.value, found.scores.overall.n) == (1.0, 1)


def test_the_one_compared_with_is_reported_too(tmp_path: Path) -> None:
    ours, theirs = (scored(tmp_path / name, name, scores, ASKED) for name, scores in (("a", OURS), ("b", THEIRS)))

    found = report([ours, theirs], ASKED, against=theirs)

    assert [(one.name, one.is_against) for one in sorted(found.models, key=lambda one: one.name)] == [
        ("a", False), ("b", True),
    ]  # fmt: skip
    assert [one.model for one in found.differences] == ["a"]


def test_differences_of_stored_models_are_the_differences_of_their_published_averages(
    imported: Imported, asked: list
) -> None:
    held = imported("mamba_zephyr_jxiw")
    against = next(one for one in held if one.model == "mamba_0_5_dpo_ep1")

    found = {one.model: one for one in report(held, asked, benchmark=BENCHMARK, against=against).differences}

    assert len(found) == 5
    assert found["mamba_0_5_dpo_ep3"].scores.overall.value == pytest.approx(7.3125 - 7.121875)
    assert found["mamba_0_875_dpo_ep3"].scores.overall.value == pytest.approx(6.36875 - 7.121875)
    for one in found.values():
        assert one.better + one.equal + one.worse == 160
