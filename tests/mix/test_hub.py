"""The Hub's road without the Hub: `datasets` prepares a local folder just as it does a repository."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from .conftest import chats

Jsonl = Callable[[str, Iterable[Any]], str]


def run(code: str, **environment: str) -> str:
    import os

    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": "hf", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_repository_becomes_files_with_its_splits_and_commit(jsonl: Jsonl, tmp_path: Path) -> None:
    jsonl("repo/train.jsonl", chats(5))
    jsonl("repo/test.jsonl", chats(2))

    said = run(f"""
from align_cli.mix import hub, read
from align_cli.mix.locate import Located
from align_cli.recipe.schema import Source
for split in ("train", "test[:1]+train", None):
    fetched = hub.fetch(Located(Source(path={str(tmp_path / "repo")!r}, split=split), "hub", ()))
    rows = [sum(1 for file in part.files for _ in read.rows(file)) for part in fetched.parts]
    print(split, rows, [part.slice.bounds(10) for part in fetched.parts], bool(fetched.identity["commit"]))
""")

    assert said.splitlines() == [
        "train [5] [(0, 10)] True",
        "test[:1]+train [2, 5] [(0, 1), (0, 10)] True",
        "None [5] [(0, 10)] True",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"path": "owner/absent"}, "sought on the Hub"),
        ({"path": "repo", "split": "validation"}, "it has test, train"),
    ],
)
def test_what_cannot_be_fetched_is_one_plain_error(jsonl: Jsonl, source: dict[str, str], words: str) -> None:
    jsonl("repo/train.jsonl", chats(5))
    jsonl("repo/test.jsonl", chats(2))

    said = run(f"""
from align_cli.errors import DataError
from align_cli.mix import hub
from align_cli.mix.locate import Located
from align_cli.recipe.schema import Source
try:
    hub.fetch(Located(Source(**{source!r}), "hub", ()))
except DataError as error:
    print(*error.problems)
""")

    assert words in said


def test_no_token_of_a_library_message_reaches_the_error() -> None:
    from align_cli.mix.hub import _unreachable
    from align_cli.recipe.schema import Source

    error = _unreachable(Source(path="a/b"), RuntimeError("401 for hf_abcdefghijklmnop"))

    assert "hf_abcdefghijklmnop" not in str(error.problems)
