"""As many rows as memory holds."""

from __future__ import annotations

import pytest

from align_cli.evals.generate import fitting
from align_cli.evals.generate.slots import Shape
from align_cli.models import memory

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("free", "wanted", "questions", "expected"),
    [
        (2_000_000, None, 100, 10),  # half of it, 100,000 bytes a row
        (2_000_000, 4, 100, 4),
        (2_000_000, None, 3, 3),
        (10**12, None, 1000, 64),
        (10**12, 500, 1000, 500),
        (10, None, 100, 1),
        (None, None, 100, 64),
    ],
)
def test_rows_are_bounded_by_memory_questions_and_what_was_asked_for(monkeypatch, free, wanted, questions, expected):
    import torch

    shape = Shape(heads=1, key_dim=5, value_dim=5, dtype=torch.float16, device=torch.device("cpu"))  # 20 bytes
    monkeypatch.setattr(memory, "available", lambda device: free)

    assert fitting.rows("cpu", [shape] * 5, 1000, wanted, questions) == expected
