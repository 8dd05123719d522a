"""A small world of AlpacaEval's files with made-up verdicts, and its real prompts, where this machine has them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from align_cli import assets
from align_cli.errors import DataError
from align_cli.evals.benchmark import Assets

#: What an evaluation with own questions and an own reference needs; the 805 instructions are not among them.
PROMPTS = ("alpaca_eval/alpaca_eval_clf.txt", "alpaca_eval/alpaca_eval.txt")


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


@pytest.fixture(scope="session")
def annotations(synth: Path) -> dict[str, list[dict[str, Any]]]:
    """By model."""
    names = ("model_long", "model_messy", "model_short")
    return {name: json.loads((synth / f"annotations_{name}.json").read_text()) for name in names}


@pytest.fixture(scope="session")
def alpaca_assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """The judge's prompts, out of the original's wheel (0.4 MB, fetched once into the user's own cache)."""
    return Assets(folder_with(PROMPTS, tmp_path_factory.mktemp("assets")))


def folder_with(names: Sequence[str], folder: Path) -> Path:
    """A folder with these assets; skips the test where one cannot be had."""
    for name in names:
        try:
            found = assets.path(name)
        except DataError as error:
            pytest.skip(f"needs {name}: {error.message}")
        (folder / Path(name).name).symlink_to(found)
    return folder
