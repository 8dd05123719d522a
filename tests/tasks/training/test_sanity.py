from __future__ import annotations

import math
from pathlib import Path

import pytest

from align_cli.errors import TrainingError
from align_cli.tasks.training import sanity
from align_cli.tasks.training.trainer import saving_failed


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_a_number_stops_at_once(loss: float):
    watch = sanity.LossWatch()
    watch.look(2.0, 0)

    with pytest.raises(TrainingError, match="in step 4"):
        watch.look(loss, 3)


def test_only_the_very_first_loss_may_not_be_zero():
    with pytest.raises(TrainingError, match="exactly 0"):
        sanity.LossWatch().look(0.0, 0)

    later = sanity.LossWatch()
    later.look(1.0, 0)
    later.look(0.0, 1)


@pytest.mark.slow
def test_the_facts_count_what_is_trained_and_in_which_dtype():
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 2, dtype=torch.bfloat16), torch.nn.Linear(2, 1))
    model[0].requires_grad_(False)

    found = sanity.facts(model, "cpu")

    assert found["parameters"] == {"trained": 3, "total": 11}
    assert found["dtypes"] == {"bfloat16": 8, "float32": 3}
    assert found["trained_dtypes"] == {"float32": 3}
    assert "11 parameters, 3 (27.27%) trained" in sanity.sentence(found)


@pytest.mark.slow
def test_a_model_without_a_trained_parameter_is_an_error():
    import torch

    with pytest.raises(TrainingError, match="no parameter"):
        sanity.facts(torch.nn.Linear(1, 1).requires_grad_(False), "cpu")


@pytest.mark.parametrize(
    "cause",
    [
        OSError(28, "No space left on device"),
        RuntimeError(
            "[enforce fail at inline_container.cc:668] . PytorchStreamWriter failed writing data/3: file write failed"
        ),
        ValueError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_named_whichever_library_met_it(cause: Exception):
    assert "the disk is full" in saving_failed(cause, Path("out/checkpoint-5")).message
