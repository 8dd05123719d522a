"""MT-Bench's own files and stored judgments of it, where this machine has them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from align_cli.evals.benchmark import Assets, Question
from align_cli.evals.mtbench.questions import questions


@pytest.fixture(scope="session")
def stored() -> Path:
    """Files of FastChat's `data/mt_bench`, and of its forks."""
    root = Path(os.environ.get("ALIGN_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "mtbench"
    if not root.is_dir():
        pytest.skip("needs MT-Bench's files: ../shared/data/mtbench beside the checkout, or in $ALIGN_SHARED_DATA")
    return root


@pytest.fixture(scope="session")
def mtbench_assets(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Assets:
    folder = tmp_path_factory.mktemp("assets")
    (folder / "mt_bench").symlink_to(stored)
    return Assets(folder)


@pytest.fixture(scope="session")
def mtbench_questions(mtbench_assets: Assets) -> Sequence[Question]:
    return questions(mtbench_assets)
