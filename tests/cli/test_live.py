"""What a pipe sees of a run."""

from __future__ import annotations

import io

from align_cli.cli import render
from align_cli.tasks.task import Progress


def moment(step: int, **metrics: float) -> Progress:
    return Progress(
        step=step, num_steps=20, epoch=0.0, metrics=metrics, tokens=0, tokens_per_second=10.0, seconds_left=5.0
    )


def test_a_loss_is_said_only_at_the_step_it_belongs_to():
    stream = io.StringIO()

    with render.display(stream) as display:
        display.progress(moment(1))
        display.progress(moment(1, loss=3.0))
        for step in range(2, 11):
            display.progress(moment(step))
        display.progress(moment(10, loss=2.0))
        display.progress(moment(20))
        display.progress(moment(20, loss=1.0))

    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "step 1/20: loss 3.0000",
        "step 10/20: loss 2.0000",
        "step 20/20: loss 1.0000",
    ]
