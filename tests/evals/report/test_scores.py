"""One model's scores, and what stands behind them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evals.report.building import alone, answer, answers, evaluation, game, questions, report, scored
from tests.evals.report.conftest import Imported

ASKED = questions(4)  # 0 and 2 are writing, 1 and 3 maths


def test_the_whole_is_the_mean_of_all_rows_not_of_the_turns_means(tmp_path: Path) -> None:
    held = scored(tmp_path / "m", "m", {(0, 1): 10.0, (1, 1): 8.0, (0, 2): 3.0, (1, 2): None}, ASKED)

    found = report([held], ASKED).model("m").scores

    assert found.overall.value == 7.0
    assert {turn: one.value for turn, one in found.by_turn.items()} == {1: 9.0, 2: 3.0}


def test_scores_are_told_by_category_and_by_both(tmp_path: Path) -> None:
    held = scored(tmp_path / "m", "m", {(0, 1): 10.0, (2, 1): 6.0, (0, 2): 2.0, (1, 1): 5.0}, ASKED)

    found = report([held], ASKED).model("m").scores

    assert {name: one.value for name, one in found.by_category.items()} == {"writing": 6.0, "maths": 5.0}
    assert found.by_category_and_turn["writing"][1].value == 8.0
    assert found.by_category_and_turn["maths"][2].value is None
    assert found.by_category_and_turn["maths"][2].n == 0


def test_a_verdict_that_cannot_be_read_is_counted_and_never_a_number(tmp_path: Path) -> None:
    lost = [alone("m", 1, 1, None, state=state) for state in ("filtered",)]
    held = evaluation(tmp_path / "m", "m", [alone("m", 0, 1, 8.0), alone("m", 0, 2, None), *lost], answers(ASKED))

    found = report([held], ASKED)

    assert found.model("m").scores.overall.value == 8.0
    assert found.model("m").counts.judgments == {
        "ok": 1, "unreadable": 1, "filtered": 1, "too_long": 0, "refused": 0, "failed": 0,
    }  # fmt: skip
    assert "1 of 3 verdicts cannot be read: the averages leave it out" in found.notes
    assert "1 of 3 requests was stopped by the endpoint's filter: the averages leave it out" in found.notes


def test_an_answer_that_was_judged_twice_is_averaged_in_twice(tmp_path: Path) -> None:
    held = evaluation(
        tmp_path / "m", "m", [alone("m", 0, 1, 9.0), alone("m", 0, 1, 6.0, time=2), alone("m", 1, 1, 3.0)]
    )

    found = report([held], ASKED)

    assert found.model("m").scores.overall.value == 6.0
    assert found.model("m").counts.repeated == 1
    assert "1 answer has more than one verdict: all are averaged in, as in FastChat" in found.notes


def test_an_answer_that_was_judged_with_other_references_is_pointed_out(tmp_path: Path) -> None:
    held = evaluation(
        tmp_path / "m",
        "m",
        [alone("m", 0, 1, 9.0, user_prompt="reference: 4"), alone("m", 0, 1, 6.0, time=2, user_prompt="reference: 5")],
    )

    assert any("judged from different requests" in note for note in report([held], ASKED).notes)


def test_answers_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    said = [
        answer(0, 1, prompt_tokens=10, new_tokens=100, near_ties=2),
        answer(0, 2, state="length", new_tokens=50, near_ties=1),
        answer(1, 1, state="failed", near_ties=5),
        answer(2, 1, state="too_long"),
    ]
    held = evaluation(tmp_path / "m", "m", [alone("m", 0, 1, 8.0)], said)

    found = report([held], ASKED).model("m").counts

    assert (found.turns, found.answers, found.cut, found.near_ties, found.not_judged) == (8, 2, 1, 3, 1)
    assert found.unanswered == {"missing": 4, "too_long": 1, "filtered": 0, "failed": 1}
    assert (found.prompt_tokens, found.new_tokens) == (10, 150)


def test_answers_that_are_judged_in_pairs_only_miss_no_judgment_of_their_own(tmp_path: Path) -> None:
    held = [
        evaluation(tmp_path / "a", "a", [game(("a", "b"), 0, "a")], answers(ASKED)),
        evaluation(tmp_path / "b", "b", [], answers(ASKED)),
    ]

    found = report(held, ASKED)

    assert [one.counts.not_judged for one in found.models] == [0, 0]
    assert not any("not judged yet" in note for note in found.notes)


def test_what_judging_took_is_summed_and_what_has_no_price_is_counted(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 900, "completion_tokens": 100}
    held = evaluation(
        tmp_path / "m",
        "m",
        [alone("m", 0, 1, 8.0, usage=usage, cost=0.033), alone("m", 0, 2, 8.0, usage=usage), alone("m", 1, 1, None)],
    )

    found = report([held], ASKED).model("m").spent.as_dict()

    assert found == {
        "requests": 3, "prompt_tokens": 1800, "completion_tokens": 200, "cost_usd": 0.033, "unpriced": 2,
    }  # fmt: skip


def test_published_averages_come_out_to_the_last_digit(imported: Imported, asked: list, stored: Path) -> None:
    """As FastChat's show_result.py printed them for the same file."""
    printed: dict[str, dict[str, float]] = {"1": {}, "2": {}, "": {}}
    part = ""
    for line in (stored / "model_judgment/mamba_zephyr_jxiw/show_result_single.txt").read_text().splitlines():
        part = {"First": "1", "Second": "2", "Average": ""}.get(line.strip("# ").split(" ")[0], part)
        if line.startswith("mamba"):
            printed[part][line.split()[0]] = float(line.split()[-1])

    found = report(imported("mamba_zephyr_jxiw"), asked, benchmark=_mtbench())

    assert {one.name: one.scores.overall.value for one in found.models} == pytest.approx(printed[""], abs=1e-9)
    for turn in (1, 2):
        by_turn = {one.name: one.scores.by_turn[turn].value for one in found.models}
        assert by_turn == pytest.approx(printed[str(turn)], abs=1e-9)
    assert [one.name for one in found.models][:2] == ["mamba_0_5_dpo_ep3", "mamba_0_5_dpo_ep1"]
    assert all(one.scores.overall.n == 160 for one in found.models)


def test_a_judge_who_mostly_fails_is_reported_with_what_can_be_read(imported: Imported, asked: list) -> None:
    found = report(imported("granite_instructlab"), asked, benchmark=_mtbench())
    counts = found.models[0].counts.judgments

    assert counts["ok"] == 40
    assert sum(counts.values()) == 160
    assert any(note.endswith("the averages leave them out") for note in found.notes)


def test_rows_that_a_file_has_twice_count_twice(imported: Imported, asked: list) -> None:
    found = report(imported("llama3_dreamingpanda"), asked, benchmark=_mtbench())

    assert found.model("Meta-Llama-3-8B-Instruct-Normal").scores.overall.n == 166
    assert found.model("Meta-Llama-3-8B-Instruct-Griffin").scores.overall.n == 160
    assert any("imported: gpt-4_single.jsonl: rows for what an earlier row judges: 10" in note for note in found.notes)


def _mtbench() -> object:
    from align_cli.evals.mtbench import BENCHMARK

    return BENCHMARK
