from __future__ import annotations

import io
from typing import Any

import pytest

from align_cli.cli import render
from align_cli.cli.render.live import _Plain
from align_cli.cli.render.page import duration, emit, grid, number
from align_cli.tasks.task import Progress

REPORT = {
    "mixture": {
        "sources": [
            {"label": "a", "layout": "messages", "available": 10, "kept": 8, "share": 0.8, "dropped": {"too long": 2}},
            {"label": "b", "layout": "alpaca", "available": 4, "kept": 2, "share": 0.2, "dropped": {}},
        ],
        "notes": ["b: two rows repeat"],
    },
    "sequences": {"train": 10, "eval": 2},
    "tokens": {"train": 1234, "in_loss": 617, "share_in_loss": 0.5},
    "lengths": {"min": 3, "median": 12, "p95": 40, "max": 64},
    "max_length": 64,
    "truncated": 1,
    "dropped": {"no trained token": 3},
    "stop_token": {"text": "<end>", "trained": True},
    "template": {"source": "chatml", "digest": "x"},
    "packing": None,
    "sample": {"segments": [["<user>Hi<end>", False], ["Hello<end>", True]]},
}
PLAN = {"num_steps": 5, "steps_per_epoch": 5, "global_batch_size": 2}


def preparation(report=REPORT) -> str:
    stream = io.StringIO()
    render.preparation(report, PLAN, stream, from_store=False)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "fact", "told"),
    [
        ("cpu_rows_end_to_end", True, ("batches", "rows end to end, without padding")),
        (
            "reference",
            {"model": "org/sft", "separate": False, "train_rows": 3},
            ("reference", "org/sft, the model before training, train rows 3"),
        ),
        (
            "first_step",
            {"loss": 0.7, "drift_per_token": 0.0},
            ("first step", "loss 0.7, drift from the reference in nats a token 0"),
        ),
        ("of_a_plugin", {"its_own": 1}, ("of a plugin", "its own 1")),
    ],
)
def test_what_a_run_found_out_is_told_in_words(name: str, fact: Any, told: tuple[str, str]) -> None:
    from align_cli.cli.render.run_page import _told

    assert _told(name, fact) == told


def test_everything_dropped_or_cut_is_shown():
    text = preparation()

    assert "2 too long" in text
    assert "truncated   1 row" in text
    assert "3 no trained token" in text
    assert "b: two rows repeat" in text


def test_the_sample_shows_its_loss_mask_in_a_pipe():
    assert "<user>Hi<end>⟦Hello<end>⟧" in preparation()


def test_a_long_sample_loses_its_middle_and_says_how_much():
    segments = [["a" * 2000, False], ["b" * 2000, True], ["END", True]]

    text = preparation(REPORT | {"sample": {"segments": segments}})

    assert "characters…]" in text
    assert text.count("a") + text.count("b") < 2000
    assert "END⟧" in text


def test_a_masked_stop_token_cannot_be_overlooked():
    text = preparation(REPORT | {"stop_token": {"text": "<end>", "trained": False}})

    assert "<end> is NOT trained" in text


def test_a_sparse_report_still_prints():
    assert "sequences" in preparation({"sequences": {"train": 1, "eval": 0}})


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_a_page_keeps_to_its_width_and_loses_nothing(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()

    emit(stream, grid(("key", "value"), [("learning_rate", "x" * 200)], whole=(0,)))

    lines = stream.getvalue().splitlines()
    assert max(len(line) for line in lines) <= width
    assert sum(line.count("x") for line in lines) == 200


def test_a_pipe_gets_whole_lines_without_trailing_spaces(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    stream = io.StringIO()

    emit(stream, grid(("key", "value"), [("learning_rate", "x" * 300), ("seed", "1")]))

    lines = stream.getvalue().splitlines()
    assert "x" * 300 in lines[1]
    assert all(line == line.rstrip() for line in lines)


def test_square_brackets_are_text_not_markup():
    stream = io.StringIO()

    emit(stream, grid(("key", "value"), [("chat_template", "[bold]{{ x }}[/nothing]")]))

    assert "[bold]{{ x }}[/nothing]" in stream.getvalue()


def test_a_page_never_holds_a_secret(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "very-secret-indeed")
    stream = io.StringIO()

    emit(stream, grid(("key", "value"), [("run_name", "very-secret-indeed")]))

    assert "very-secret-indeed" not in stream.getvalue()


def moment(step: int, num_steps: int, **metrics: float) -> Progress:
    return Progress(
        step=step,
        num_steps=num_steps,
        epoch=0.0,
        metrics=metrics,
        tokens=step * 10,
        tokens_per_second=100.0,
        seconds_left=float(num_steps - step),
    )


def test_a_piped_run_writes_about_ten_lines_however_long_it_is():
    stream = io.StringIO()
    display = _Plain(stream)

    for step in range(1, 1001):
        display.progress(moment(step, 1000, loss=2.0))

    lines = stream.getvalue().splitlines()
    assert 10 <= len(lines) <= 11
    assert lines[-1] == "step 1000/1000: loss 2.0000, 100 tokens/s"


def test_every_evaluation_gets_its_own_line():
    stream = io.StringIO()
    display = _Plain(stream)

    display.progress(moment(1, 100, loss=2.0))
    display.progress(moment(2, 100, eval_loss=1.5))

    assert stream.getvalue().splitlines()[-1] == "step 2/100: eval_loss 1.5000"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (75, "1 min 15 s"), (3600, "1 h 00 min"), (90061, "25 h 01 min")]
)
def test_durations_read_like_speech(seconds, text):
    assert duration(seconds) == text


def test_numbers_have_separators_and_unknown_is_nothing():
    assert (number(1234567), number(None), number(0)) == ("1,234,567", "", "0")
