"""A model of 7.5 thousand million parameters, as in the ZeRO paper, and a step on it."""

from __future__ import annotations

import pytest

from align_cli.launch.memory.shape import Shape
from align_cli.launch.memory.work import Work


@pytest.fixture
def shape() -> Shape:
    return Shape(
        parameters=7_500_000_000,
        embedding=131_072_000,
        is_tied=False,
        hidden=4096,
        layers=36,
        heads=32,
        key_values=1024,
        queries=4096,
        intermediate=14336,
        vocabulary=32000,
        context=4096,
    )


@pytest.fixture
def work() -> Work:
    """Weights, gradients and arithmetic in bf16, Adam's states in float32."""
    return Work(
        device="cuda",
        rows=1,
        length=1024,
        scores_tokens=True,
        whole_logits=False,
        weight_bytes=2.0,
        compute_bytes=2.0,
        optimizer_bytes=8.0,
        checkpointing=True,
        eager=False,
        dropout=False,
        reference="none",
    )
