"""Importing, reporting and exporting get by without a network; here there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from align_cli import downloads


@pytest.fixture(autouse=True)
def no_network(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing can be fetched."""

    def refuse(url: str, **how: Any) -> bytes:
        raise downloads.DownloadError("there is no network")

    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(downloads, "fetch", refuse)
    monkeypatch.setenv("ALIGN_CACHE", str(cache))
    monkeypatch.delenv("ALIGN_ASSETS", raising=False)
    return cache
