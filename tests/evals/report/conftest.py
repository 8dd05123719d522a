"""Stored judgments of MT-Bench, where this machine has them, as evaluations."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from align_cli.evals.benchmark import Assets, Question
from align_cli.evals.folder import Evaluation
from align_cli.evals.mtbench import BENCHMARK
from align_cli.evals.mtbench.fastchat import import_fastchat

Imported = Callable[[str], list[Evaluation]]


@pytest.fixture(scope="session")
def stored() -> Path:
    """Files of FastChat's `data/mt_bench`, and of its forks."""
    root = Path(os.environ.get("ALIGN_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "mtbench"
    if not root.is_dir():
        pytest.skip("needs MT-Bench's files: ../shared/data/mtbench beside the checkout, or in $ALIGN_SHARED_DATA")
    return root


@pytest.fixture(scope="session")
def asked(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Question]:
    folder = tmp_path_factory.mktemp("assets")
    (folder / "mt_bench").symlink_to(stored)
    return BENCHMARK.questions(Assets(folder))


@pytest.fixture(scope="session")
def imported(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """`imported(name)`: the evaluations that one of the stored folders makes."""
    made: dict[str, list[Evaluation]] = {}

    def load(name: str) -> list[Evaluation]:
        if name not in made:
            made[name] = import_fastchat(stored / "model_judgment" / name, tmp_path_factory.mktemp("imported") / name)
        return made[name]

    return load
