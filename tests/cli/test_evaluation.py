"""The terminal's page of a report."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from align_cli.cli import render
from tests.evals.report.building import alone, answers, battle, evaluation, questions, report

ASKED = questions(12, ("writing", "maths", "law"))


def document(place: Path, names: str = "ab", against: str = "") -> dict[str, Any]:
    """Models of these names; each is one point worse than the one before."""
    held = {
        name: evaluation(
            place / name,
            f"model-with-a-long-name-{name}",
            [alone(f"model-with-a-long-name-{name}", one.id, turn, 9.0 - number) for one in ASKED for turn in (1, 2)]
            + battle("model-with-a-long-name-a", "model-with-a-long-name-b", 0, "tie", "tie"),
            answers(ASKED),
        )
        for number, name in enumerate(names)
    }
    return report(list(held.values()), ASKED, against=held.get(against)).as_dict()


def page(document: dict[str, Any]) -> str:
    stream = io.StringIO()
    render.evaluation(document, stream)
    return stream.getvalue()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_nothing_stands_beyond_the_terminals_edge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))

    found = page(document(tmp_path, "abcdefgh", against="b"))

    assert max(len(line) for line in found.splitlines()) <= columns
    for name in "abcdefgh":
        assert f"model-with-a-long-name-{name}" in found


def test_in_a_pipe_a_model_is_a_line(tmp_path: Path) -> None:
    found = page(document(tmp_path))

    (line,) = (line for line in found.splitlines() if line.strip().startswith("model-with-a-long-name-a  9.00"))
    assert line.split()[:4] == ["model-with-a-long-name-a", "9.00", "±", "0.00"]
    assert line.count("±") == 3  # the categories have too few questions for an interval


def test_differences_battles_and_notes_are_told(tmp_path: Path) -> None:
    found = page(document(tmp_path, against="b"))

    assert "less model-with-a-long-name-b" in found
    assert "+1.00 ± 0.00" in found
    assert "24 answers better, 0 equal, 0 worse" in found
    assert "model-with-a-long-name-a against model-with-a-long-name-b" in found
    assert "Notes\n  · a category has 4 questions" in found


def test_a_report_of_nothing_is_a_page_too(tmp_path: Path) -> None:
    found = page(report([evaluation(tmp_path / "m", "m")], ASKED).as_dict())

    assert "not judged yet" in found
    assert "nothing is judged yet" in found


def test_names_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    held = evaluation(tmp_path / "m", "m\x1b[31m", [alone("m\x1b[31m", 0, 1, 5.0)])

    found = page(report([held], ASKED).as_dict())

    assert "\x1b" not in found
    assert r"m\x1b[31m" in found
