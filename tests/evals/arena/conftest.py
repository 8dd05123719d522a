"""Public battles, and what FastChat's, lmarena's and evalica's programs made of them."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest

Table = list[dict[str, str]]


@pytest.fixture(scope="session")
def arena_data() -> Path:
    root = Path(os.environ.get("ALIGN_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "arena"
    if not root.is_dir():
        pytest.skip("needs battles: ../shared/data/arena beside the checkout, or in $ALIGN_SHARED_DATA")
    return root


@pytest.fixture(scope="session")
def table(arena_data: Path) -> Callable[[str], Table]:
    """`table(name)` reads one of their CSV files."""

    def read(name: str) -> Table:
        with (arena_data / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return read
