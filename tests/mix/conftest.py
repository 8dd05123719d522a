"""Small files of rows, a store of its own for each test, and the real data sets where they are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

ROWS = ("messages", "prompt_completion", "text")


def chat(question: str, answer: str = "a") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def chats(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [chat(f"q{number}") for number in range(start, start + count)]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "mixtures"


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[[str, Iterable[Any]], str]:
    def write(name: str, rows: Iterable[Any]) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return name

    return write


@pytest.fixture
def shared_data() -> Path:
    root = Path(os.environ.get("ALIGN_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data") / "datasets"
    if not root.is_dir():
        pytest.skip("needs the shared data sets: ../shared/data beside the checkout, or $ALIGN_SHARED_DATA")
    return root
