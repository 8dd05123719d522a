from __future__ import annotations

import json
from dataclasses import replace

import pytest

from align_cli.errors import UsageError
from align_cli.runs.reading import summary
from tests.runs import folders


def test_a_line_about_a_run_is_read_from_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = folders.finished(tmp_path / "runs" / "a")

    line = summary.of(run)

    assert (line.name, line.status, line.task, line.model) == ("runs/a", "finished", "sft", "org/base")
    assert (line.sources, line.rows, line.step, line.num_steps) == (("chat",), 60, 40, 40)
    assert line.loss == pytest.approx(folders.falling()[-2]["loss"])
    assert (line.eval_loss, line.best_eval_loss) == (0.625, 5.0 / 30)


def test_values_that_were_not_finite_are_no_last_loss_and_no_best_evaluation(tmp_path):
    lines = [{"step": 1, "loss": float("nan")}, {"step": 1, "eval_loss": float("nan")}, {"step": 2, "eval_loss": 2.0}]

    line = summary.of(folders.prepared(tmp_path / "a", lines=lines))

    assert (line.loss, line.eval_loss, line.best_eval_loss) == (None, 2.0, 2.0)


def test_a_text_that_looks_like_a_metric_is_not_taken_for_one(tmp_path):
    lines = [{"step": 1, "loss": 2.0}, {"step": 2, "note": 'said "loss": 1'}]

    assert summary.of(folders.prepared(tmp_path / "a", lines=lines)).loss == 2.0


def test_a_line_is_json(tmp_path):
    document = summary.of(folders.finished(tmp_path / "a")).as_dict()

    assert json.loads(json.dumps(document)) == document
    assert document["when"].endswith("+00:00")


@pytest.fixture
def three(tmp_path):
    line = summary.of(folders.finished(tmp_path / "a"))
    return [
        replace(line, name="a", when=1.0, loss=3.0, bytes=10, task="sft"),
        replace(line, name="b", when=3.0, loss=None, bytes=30, task="dpo", status="failed"),
        replace(line, name="c", when=2.0, loss=1.0, bytes=20, task="sft"),
    ]


@pytest.mark.parametrize(
    ("order", "names"), [("when", "bca"), ("name", "abc"), ("loss", "cab"), ("size", "bca"), ("task", "bac")]
)
def test_runs_are_sorted_and_those_without_the_value_come_last(three, order, names):
    found = summary.chosen(three, tasks=(), states=(), order=order, is_reversed=False)

    assert "".join(run.name for run in found) == names


def test_the_other_way_round_still_has_the_unknown_last(three):
    found = summary.chosen(three, tasks=(), states=(), order="loss", is_reversed=True)

    assert [run.name for run in found] == ["a", "c", "b"]


def test_runs_are_chosen_by_task_and_status(three):
    by_task = summary.chosen(three, tasks=["sft"], states=(), order="name", is_reversed=False)
    by_state = summary.chosen(three, tasks=(), states=["failed", "running"], order="name", is_reversed=False)

    assert [run.name for run in by_task] == ["a", "c"]
    assert [run.name for run in by_state] == ["b"]


@pytest.mark.parametrize(("states", "order", "near"), [(["finishd"], "when", "finished"), ([], "tsak", "task")])
def test_misspelt_words_are_suggested(states, order, near):
    with pytest.raises(UsageError) as caught:
        summary.demand_known(states=states, order=order)

    assert near in caught.value.hint
