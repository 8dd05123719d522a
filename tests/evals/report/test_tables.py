"""The table of a benchmark's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from align_cli.evals.report.addition import Headline
from align_cli.evals.report.table import Table
from align_cli.evals.report.tables import metrics_table
from tests.evals.report.building import alone, answers, evaluation, questions, referring, report


def table(place: Path, metrics: Mapping[str, Mapping[str, Any]], headlines: Mapping[str, Headline]) -> Table | None:
    asked = questions(4, turns=1)
    held = [
        evaluation(place / name, name, [alone(name, one.id, 1, 70.0) for one in asked], answers(asked)) for name in "ab"
    ]
    made = referring(asked, metrics=metrics, headlines=headlines)
    return metrics_table(report(held, asked, benchmark=made))


def test_the_figure_that_ranks_stands_first_and_marked(tmp_path: Path) -> None:
    metrics = {
        "a": {"wins": 1234, "rate": 12.341, "error": None, "nested": {"x": 1}, "form": "v1", "gone": None},
        "b": {"wins": 5, "rate": 80.0, "error": -0.5, "nested": {"x": 2}, "form": None, "gone": None},
    }
    headlines = {
        "a": Headline(name="rate", value=12.341),
        "b": Headline(name="rate", value=80.0, low=70.0, high=91.0),
    }

    found = table(tmp_path, metrics, headlines)

    assert found is not None
    assert found.title == "Ranked by rate"
    assert found.columns == ["rate↓", "wins", "error", "form"]
    assert [(name, [cell.text for cell in cells]) for name, cells in found.rows] == [
        ("b", ["80.00", "5", "\N{MINUS SIGN}0.50", "–"]),
        ("a", ["12.34", "1,234", "–", "v1"]),
    ]
    assert found.rows[0][1][0].aside == "± 10.50"
    assert found.has_series


def test_a_figure_that_ranks_and_is_known_of_no_model_has_no_column(tmp_path: Path) -> None:
    unknown = {name: Headline(name="controlled", value=None) for name in "ab"}

    found = table(tmp_path, {name: {"controlled": None, "rate": 70.0} for name in "ab"}, unknown)

    assert found is not None
    assert found.columns == ["rate"]
    assert found.title == "small: what it computes"


def test_a_benchmark_without_figures_of_its_own_has_no_table_of_them(tmp_path: Path) -> None:
    assert table(tmp_path, {}, {}) is None
