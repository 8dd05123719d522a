from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from align_cli.errors import DataError
from align_cli.evals.alpacaeval.length_control import (
    Gamed,
    Row,
    difficulties,
    is_extreme,
    length_controlled,
    read_gamed,
)
from align_cli.evals.alpacaeval.winrates import preference_of

MODELS = ("model_long", "model_short", "model_messy")
HEADER = "preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline,model\n"


class World(NamedTuple):
    gamed: list[Gamed]
    positions: dict[str, int]
    rows: dict[str, list[Row]]
    expected: dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def world(synth: Path) -> World:
    rows = {
        model: [
            Row(one["instruction"], preference_of(one["preference"]), len(one["output_2"]), len(one["output_1"]))
            for one in json.loads((synth / f"annotations_{model}.json").read_text())
        ]
        for model in MODELS
    }
    references = json.loads((synth / "reference_outputs.json").read_text())
    return World(
        gamed=read_gamed(synth / "df_gamed.csv"),
        positions={one["instruction"]: number for number, one in enumerate(references)},
        rows=rows,
        expected=json.loads((synth / "expected.json").read_text())["expected"],
    )


@pytest.mark.parametrize("by_row_position", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_with_every_row_there_the_numbers_are_alpaca_evals(world: World, model: str, by_row_position: bool) -> None:
    expected = world.expected[model]

    found = length_controlled(
        world.rows[model], gamed=world.gamed, positions=world.positions, by_row_position=by_row_position
    )

    assert found.win_rate == pytest.approx(expected["length_controlled_winrate"], abs=1e-8)
    assert found.standard_error == pytest.approx(expected["lc_standard_error"], abs=1e-8)
    assert expected["C"] == found.C
    assert found.coefficients == pytest.approx(expected["coef_tanhlen_difficulty_bias"], abs=1e-8)
    assert found.num_left_out == 0


@pytest.mark.parametrize("model", ["model_long", "model_short"])
def test_without_gamed_rows_the_number_is_alpaca_evals(world: World, model: str) -> None:
    found = length_controlled(world.rows[model], form="noreg", gamed=world.gamed, positions=world.positions)

    assert found.win_rate == pytest.approx(world.expected[model]["length_controlled_noreg"], abs=1e-8)


@pytest.mark.parametrize("missing", [0, 50, 120])
def test_a_missing_row_shifts_only_alpaca_evals_number(world: World, missing: int) -> None:
    """alpaca_eval gives every row behind the gap its neighbour's difficulty."""
    expected = world.expected["model_long"]
    rows = [row for number, row in enumerate(world.rows["model_long"]) if number != missing]

    joined, shifted = (
        length_controlled(
            rows, gamed=world.gamed, positions=world.positions, C=expected["C"], by_row_position=by_row_position
        ).win_rate
        for by_row_position in (False, True)
    )

    assert abs(joined - expected["length_controlled_winrate"]) < 0.3
    assert abs(shifted - expected["length_controlled_winrate"]) > 1


def test_the_order_of_rows_moves_nothing_but_the_folds(world: World) -> None:
    rows = world.rows["model_messy"]
    backwards = length_controlled(rows[::-1], gamed=world.gamed, positions=world.positions, C=10.0)
    forwards = length_controlled(rows, gamed=world.gamed, positions=world.positions, C=10.0)

    assert backwards.win_rate == pytest.approx(forwards.win_rate, abs=1e-6)
    assert backwards.predictions == pytest.approx(forwards.predictions[::-1], abs=1e-8)


def test_an_instruction_of_another_set_is_left_out_and_counted(world: World) -> None:
    rows = world.rows["model_long"]
    found = length_controlled([Row("Another?", 1.0, 9000, 1), *rows], gamed=world.gamed, positions=world.positions)

    assert found.win_rate == pytest.approx(world.expected["model_long"]["length_controlled_winrate"], abs=1e-8)
    assert found.num_left_out == 1
    assert found.predictions[0] is None
    assert None not in found.predictions[1:]


def test_a_row_without_verdict_is_predicted_but_not_learnt_from(world: World) -> None:
    rows = [row._replace(preference=None) if number < 3 else row for number, row in enumerate(world.rows["model_long"])]

    found = length_controlled(rows, gamed=world.gamed, positions=world.positions)

    assert len(found.predictions) == 200
    assert None not in found.predictions
    assert found.win_rate != pytest.approx(world.expected["model_long"]["length_controlled_winrate"], abs=1e-3)


def test_the_minimal_form_needs_no_gamed_rows_and_predicts_one_number(world: World) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="compares with scikit-learn")
    rows = world.rows["model_long"]
    delta = np.array([row.reference_length - row.length for row in rows])
    features = np.column_stack([np.tanh(delta / delta.std(ddof=1)), np.ones(len(rows))])
    target = np.array([row.preference for row in rows])
    theirs = linear_model.LogisticRegression(
        C=100, l1_ratio=1, solver="liblinear", fit_intercept=False, random_state=123
    ).fit(np.tile(features, (2, 1)), np.repeat([1, 0], len(rows)), sample_weight=np.concatenate([target, 1 - target]))

    found = length_controlled(rows, form="minimal", C=100)

    assert (found.coefficients.length, found.coefficients.bias) == pytest.approx(theirs.coef_[0], abs=1e-8)
    assert found.win_rate == pytest.approx(100 / (1 + math.exp(-theirs.coef_[0][1])))
    assert found.coefficients.difficulty is None
    assert found.standard_error is None
    assert len(set(found.predictions)) == 1


def test_answers_as_long_as_the_references_keep_the_plain_win_rate() -> None:
    rows = [Row(f"{number}", 0.75, 100, 100) for number in range(40)]

    found = length_controlled(rows, form="minimal")

    assert found.coefficients.length == 0
    assert found.win_rate == pytest.approx(75, abs=0.1)


@pytest.mark.parametrize(
    ("plain", "controlled", "extreme"),
    [(20, 9.9, True), (20, 10.1, False), (20, 39.9, False), (20, 40.1, True), (80, 60.1, False), (80, 59.9, True)],
)
def test_a_win_rate_is_extreme_beyond_ten_points_and_a_quarter_of_the_way(
    plain: float, controlled: float, extreme: bool
) -> None:
    assert is_extreme(plain, controlled) is extreme


def test_too_few_verdicts_are_refused() -> None:
    rows = [Row(f"{number}", 1.0 if number < 4 else None, 10, 12) for number in range(10)]

    with pytest.raises(DataError, match="4 verdicts are too few to control for length: it needs 5 or more"):
        length_controlled(rows, form="minimal")


def test_gamed_rows_do_not_stand_in_for_verdicts(world: World) -> None:
    rows = [row._replace(preference=None) for row in world.rows["model_long"]]

    with pytest.raises(DataError, match="0 verdicts are too few to control for length: it needs 1 or more"):
        length_controlled(rows, gamed=world.gamed, positions=world.positions)


def test_answers_to_other_instructions_alone_are_refused(world: World) -> None:
    with pytest.raises(DataError, match="no answer is to one of the benchmark's instructions"):
        length_controlled([Row("Another?", 1.0, 9, 1)], gamed=world.gamed, positions=world.positions)


def test_an_instruction_without_difficulty_is_named(world: World) -> None:
    rows = [*world.rows["model_long"], Row("one more", 1.0, 10, 12)]

    with pytest.raises(DataError, match=r"no difficulty of instruction 201: df_gamed\.csv knows 200 instructions"):
        length_controlled(rows, gamed=world.gamed, positions=world.positions, by_row_position=True)


def test_gamed_rows_are_read_with_their_difficulties(tmp_path: Path) -> None:
    path = tmp_path / "df_gamed.csv"
    path.write_text(HEADER + "0.25,0,0.5,-1.5,False,wordy\n,1,-0.5,2.0,False,wordy\n0.75,0,-1,-1.5,False,brief\n")

    found = read_gamed(path)

    assert found == [Gamed(0, 0.25, 0.5, -1.5), Gamed(1, None, -0.5, 2.0), Gamed(0, 0.75, -1.0, -1.5)]
    assert difficulties(found) == {0: -1.5, 1: 2.0}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1.5,0,0.5,0,False,m", r"csv:3: preference is 1.5, and should be from 0 to 1"),
        ("0.5,-1,0.5,0,False,m", r"csv:3: index is -1, and should be a position, 0 or more"),
        ("0.5,0,tall,0,False,m", r"csv:3: std_delta_len is 'tall', and should be a number"),
        ("0.5,0,0.5,inf,False,m", r"csv:3: instruction_difficulty is 'inf', and should be a number"),
        ("0.5,0,0.5,0,perhaps,m", r"csv:3: not_gamed_baseline is 'perhaps', and should be True or False"),
        ("0.5,0", r"csv:3: std_delta_len is missing, and should be a number|csv:3: not_gamed_baseline is None"),
        ('0.5,0,"0.5,0,False,m', r"csv:3: this is no CSV"),
    ],
)
def test_a_damaged_gamed_row_is_named_by_line(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "df_gamed.csv"
    path.write_text(f"{HEADER}0.5,0,0.5,0,False,m\n{line}\n")

    with pytest.raises(DataError, match=said):
        read_gamed(path)


def test_all_damaged_rows_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    path = tmp_path / "df_gamed.csv"
    path.write_text(HEADER + "x,0,0.5,0,False,m\n" * 9)

    with pytest.raises(DataError, match="9 rows are damaged") as caught:
        read_gamed(path)

    assert [problem.where.rpartition(":")[2] for problem in caught.value.problems] == ["2", "3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"preference,index\n", "csv:1: it has no column std_delta_len"), (b"\xff", "no text in UTF-8"), (b"", "column")],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "df_gamed.csv"
    path.write_bytes(content)

    with pytest.raises(DataError, match=said):
        read_gamed(path)


def test_an_absent_or_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "df_gamed.csv"
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_gamed(path)

    path.write_text(HEADER)
    with pytest.raises(DataError, match="it has no rows"):
        read_gamed(path)
