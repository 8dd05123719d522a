"""The figures that FastChat prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from align_cli.evals.judgments import Judgment
from align_cli.evals.mtbench.fastchat.judgments import read_pair, read_single
from align_cli.evals.mtbench.games import matches, repeated
from align_cli.evals.mtbench.published import WinRates, scores, win_rates


def judged(model: str, turn: int, score: float | None, **others: Any) -> Judgment:
    return Judgment(
        key="",
        question_id=others.pop("question_id", 81),
        turn=turn,
        models=(model,),
        judge={"model": "gpt-4", "endpoint": ""},
        prompt="single-v1",
        score=score,
        state="ok" if score is not None else "unreadable",
    )


def game(shown: str, winner: str | None, *, number: int = 1, question: int = 81, **others: Any) -> Judgment:
    return Judgment(
        key="",
        question_id=question,
        turn=1,
        game=number,
        models=tuple(shown),
        judge={"model": others.pop("judge", "gpt-4"), "endpoint": ""},
        prompt="pair-v2",
        winner=winner,
        state="ok" if winner else "failed",
    )


def test_imported_judgments_give_the_table_that_was_published_with_them(stored: Path) -> None:
    folder = stored / "model_judgment" / "mamba_zephyr_jxiw"

    found = scores(read_single(folder / "gpt-4_single.jsonl"))

    printed = (folder / "show_result_single.txt").read_text(encoding="utf-8").split("##########")
    for heading, table in zip(printed[1::2], printed[2::2], strict=True):
        column = {" First turn ": "turn_1", " Second turn ": "turn_2", " Average ": "average"}[heading]
        rows = [line.split() for line in table.splitlines() if line.startswith("mamba")]
        assert [getattr(found[row[0]], column) for row in rows] == pytest.approx([float(row[-1]) for row in rows])
        assert len(rows) == 6
    averages = [7.3125, 7.121875, 7.034375, 6.58125, 6.3875, 6.36875]
    assert [its.average for its in found.values()] == pytest.approx(averages)


# As show_result.py prints them: sum and number of the scores that are not -1, by turn.
@pytest.mark.parametrize(
    ("name", "model", "first", "second", "num_dropped"),
    [
        ("phi3_stefanstud", "phi-3-dpo", (669, 80), (643, 80), 0),
        ("granite_instructlab", "granite-7b-lab", (282, 37), (14, 3), 120),
        ("llama3_dreamingpanda", "Meta-Llama-3-8B-Instruct-Normal", (721, 86), (581, 80), 4),
        ("llama3_dreamingpanda", "Meta-Llama-3-8B-Instruct-Griffin", (251, 80), (181, 80), 0),
    ],
)
def test_failures_are_dropped_and_repetitions_averaged_in(
    stored: Path, name: str, model: str, first: tuple[int, int], second: tuple[int, int], num_dropped: int
) -> None:
    found = scores(read_single(stored / "model_judgment" / name / "gpt-4_single.jsonl"))[model]

    assert found.turn_1 == pytest.approx(first[0] / first[1])
    assert found.turn_2 == pytest.approx(second[0] / second[1])
    assert found.average == pytest.approx((first[0] + second[0]) / (first[1] + second[1]))
    assert (found.num_scored, found.num_dropped) == (first[1] + second[1], num_dropped)


def test_stored_matches_give_the_win_rates_that_fastchat_prints(stored: Path) -> None:
    found = win_rates(read_pair(stored / "model_judgment" / "phi3_stefanstud" / "gpt-4_pair.jsonl"))

    # 75 matches, 2 of them with an error; 18 and 20 are won in both games
    assert found == {"phi-3-dpo": WinRates(20, 18, 35), "phi-3": WinRates(18, 20, 35)}
    assert found["phi-3-dpo"].win_rate == 20 / 73
    assert found["phi-3-dpo"].loss_rate == 18 / 73
    assert found["phi-3-dpo"].win_rate_adjusted == 37.5 / 73


def test_with_a_score_missing_the_average_is_of_all_scores_not_of_the_two_turns() -> None:
    judgments = [judged("a", 1, 9), judged("a", 1, 9, question_id=82), judged("a", 2, 3), judged("a", 2, None)]

    found = scores(judgments)["a"]

    assert (found.turn_1, found.turn_2, found.average) == (9, 3, 7)


def test_a_model_without_any_score_has_no_mean() -> None:
    assert scores([judged("a", 1, None)])["a"][:3] == (None, None, None)


def test_games_that_differ_and_ties_are_ties_and_errors_count_for_nothing() -> None:
    judgments = [
        *(game("ab", "a"), game("ba", "a", number=2)),
        *(game("ab", "a", question=82), game("ba", "b", number=2, question=82)),
        *(game("ab", "tie", question=83), game("ba", "a", number=2, question=83)),
        *(game("ab", "a", question=84), game("ba", None, number=2, question=84)),
        game("ab", "a", question=85),
    ]

    assert win_rates(judgments) == {"a": WinRates(1, 0, 2), "b": WinRates(0, 1, 2)}


def test_against_a_baseline_only_its_matches_count_and_it_has_no_row() -> None:
    judgments = [
        *(game("ab", "a"), game("ba", "a", number=2)),
        *(game("ac", "c"), game("ca", "c", number=2)),
    ]

    assert win_rates(judgments, baseline="b") == {"a": WinRates(1, 0, 0)}


def test_games_of_different_judges_make_no_match() -> None:
    found = matches([game("ab", "a"), game("ba", "a", number=2, judge="other")])

    assert [(match.game_1 is None, match.game_2 is None) for match in found] == [(False, True), (True, False)]
    assert [(match.model_1, match.model_2, match.winner) for match in found] == [("a", "b", None)] * 2


def test_repeated_games_are_matched_one_by_one() -> None:
    judgments = [game("ab", "a"), game("ba", "a", number=2), game("ab", "b"), game("ba", "b", number=2)]

    assert [match.winner for match in matches(judgments)] == ["a", "b"]
    assert repeated(judgments) == 2
