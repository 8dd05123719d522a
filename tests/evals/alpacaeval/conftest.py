"""A small world of AlpacaEval's files with made-up verdicts, where this machine has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def synth() -> Path:
    """200 instructions, their gamed rows, three models' annotations, and what alpaca_eval 0.6.6 makes of them."""
    root = Path(os.environ.get("ALIGN_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
    root = root / "alpacaeval_synth"
    if not root.is_dir():
        pytest.skip(
            "needs AlpacaEval's files: ../shared/data/alpacaeval_synth beside the checkout or $ALIGN_SHARED_DATA"
        )
    return root
