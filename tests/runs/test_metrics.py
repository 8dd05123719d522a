from __future__ import annotations

from pathlib import Path

from align_cli.runs.metrics import Metrics, read


def test_lines_after_the_checkpoint_are_written_anew(tmp_path: Path):
    first = Metrics(tmp_path, after_step=0)
    for step in (1, 2, 3, 4):
        first.write(step, {"loss": step / 2})
    first.close()

    second = Metrics(tmp_path, after_step=2)
    second.write(3, {"loss": 1.25})
    second.close()

    assert read(tmp_path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 1.0}, {"step": 3, "loss": 1.25}]


def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path: Path):
    first = Metrics(tmp_path, after_step=0)
    first.write(1, {"loss": 0.5})
    first.close()
    with first.path.open("a") as file:
        file.write('{"step": 2, "lo')

    Metrics(tmp_path, after_step=1).close()

    assert first.path.read_text() == '{"step": 1, "loss": 0.5}\n'


def test_the_closing_line_of_an_attempt_does_not_stay_in_the_next(tmp_path: Path):
    first = Metrics(tmp_path, after_step=0)
    first.write(1, {"loss": 0.5})
    first.write(1, {"train_runtime": 3.0})
    first.close()

    Metrics(tmp_path, after_step=1).close()

    assert read(tmp_path) == [{"step": 1, "loss": 0.5}]


def test_not_a_number_is_null_and_the_line_stays_json(tmp_path: Path):
    metrics = Metrics(tmp_path, after_step=0)
    metrics.write(1, {"grad_norm": float("nan"), "eval_loss": float("inf")})
    metrics.close()

    assert read(tmp_path) == [{"step": 1, "grad_norm": None, "eval_loss": None}]
