"""The Hub's road: over a local folder, and over a Hub on the loopback (see hub_server)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mix.conftest import chats
from tests.mix.sources.hub_server import Hub, commit, serve

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
from align_cli.mix.reading import read
from align_cli.mix.sources import hub
from align_cli.mix.sources.locate import Located
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
from align_cli.mix.sources import hub
from align_cli.mix.sources.locate import Located
from align_cli.recipe.schema import Source
try:
    hub.fetch(Located(Source(**{source!r}), "hub", ()))
except DataError as error:
    print(*error.problems)
""")

    assert words in said


def test_no_token_of_a_library_message_reaches_the_error() -> None:
    from align_cli.mix.sources.hub import unreachable
    from align_cli.recipe.schema import Source

    error = unreachable(Source(path="a/b"), RuntimeError("401 for hf_abcdefghijklmnop"))

    assert "hf_abcdefghijklmnop" not in str(error.problems)


@pytest.fixture
def hub(jsonl: Jsonl, tmp_path: Path) -> Iterator[Hub]:
    for revision, count in (("v1", 50), ("v2", 60)):
        jsonl(f"{revision}/data/train.jsonl", chats(count))
        jsonl(f"{revision}/data/test.jsonl", chats(3, start=100))
    with serve() as served:
        served.repositories = {
            "owner/chats": {"main": tmp_path / "v2", "v1": tmp_path / "v1"},
            "owner/gated": {"main": tmp_path / "v1"},
        }
        served.gated = {"owner/gated"}
        yield served


TOKEN = "hf_abcdefghijklmnopqrst"
FETCH = """
import json, sys
from align_cli.errors import DataError
from align_cli.mix.reading import read
from align_cli.mix.sources import hub
from align_cli.mix.sources.locate import locate
from align_cli.recipe.schema import Source
for source in json.loads(sys.argv[1]):
    try:
        found = hub.fetch(locate(Source(**source)))
        rows = [record.row["messages"][0]["content"] for part in found.parts for file in part.files
                for record in list(read.rows(file))[slice(*part.slice.bounds(60))]]
        print(json.dumps([len(rows), rows[0], rows[-1], found.identity["commit"]]))
    except DataError as error:
        print(json.dumps(str(error.problems[0])))
"""


def fetched(endpoint: str, *sources: dict[str, Any]) -> list[Any]:
    import json
    import os

    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": "hf", "HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN}
    done = subprocess.run(
        [sys.executable, "-c", FETCH, json.dumps(sources)], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_branches_and_tags_are_fetched_at_their_commit(hub: Hub, tmp_path: Path) -> None:
    latest, tagged, by_commit, part = fetched(
        hub.endpoint,
        {"path": "owner/chats"},
        {"path": "owner/chats", "revision": "v1"},
        {"path": "owner/chats", "revision": commit(tmp_path / "v1")},
        {"path": "owner/chats", "split": "test[:2]+train[:10%]"},
    )

    assert latest == [60, "q0", "q59", commit(tmp_path / "v2")]
    assert tagged == by_commit == [50, "q0", "q49", commit(tmp_path / "v1")]
    assert part[:3] == [8, "q100", "q5"]


@pytest.mark.slow
def test_what_the_hub_refuses_is_said_plainly(hub: Hub) -> None:
    said = fetched(
        hub.endpoint,
        {"path": "owner/gated"},
        {"path": "owner/gated", "streaming": True, "rows": 2},
        {"path": "owner/absent"},
        {"path": "owner/chats", "revision": "v9"},
        {"path": "owner/chats", "split": "validation"},
        {"path": "owner/chats", "split": "validation", "streaming": True, "rows": 2},
        {"path": "owner/chats", "config": "german"},
        {"path": "owner/chats", "streaming": True, "split": "train[5:]"},
    )

    for text, words in zip(
        said,
        (
            "ask for access",
            "ask for access",
            "no such data set",
            'no revision "v9"',
            "it has test, train",
            "it has test, train",
            'no configuration "german"',
            "how many?",
        ),
        strict=True,
    ):
        assert words in text


@pytest.mark.slow
def test_a_stream_is_its_first_rows_read_once_for_a_commit(hub: Hub, tmp_path: Path) -> None:
    source = {"path": "owner/chats", "streaming": True, "rows": 10}
    first, again, other, parts = fetched(
        hub.endpoint,
        source,
        source,
        {**source, "revision": "v1", "rows": 4},
        {"path": "owner/chats", "streaming": True, "split": "train[5:9]+test[:2]"},
    )

    assert first == again == [10, "q0", "q9", commit(tmp_path / "v2")]
    assert other == [4, "q0", "q3", commit(tmp_path / "v1")]
    assert parts[:3] == [6, "q5", "q101"]
    kept = sorted(path.name for path in (tmp_path / "cache/hub").rglob("*") if path.is_file())
    assert kept.count("rows.jsonl") == 3


@pytest.mark.slow
def test_without_the_hub_a_stream_that_was_read_is_found_and_another_is_not(hub: Hub, tmp_path: Path) -> None:
    source = {"path": "owner/chats", "streaming": True, "rows": 10}
    online = fetched(hub.endpoint, source, {"path": "owner/chats"})

    stream, whole, absent, larger = fetched(
        "http://127.0.0.1:9", source, {"path": "owner/chats"}, {**source, "path": "owner/else"}, {**source, "rows": 11}
    )

    assert [stream, whole] == online
    assert "cannot be reached" in absent
    assert "cannot be reached" in larger
