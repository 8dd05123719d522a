"""A one-layer model for tests of trainers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.tiny import tiny_llama


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    return tiny_llama(tmp_path_factory.mktemp("tiny"))
