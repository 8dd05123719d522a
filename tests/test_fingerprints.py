from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from align_cli import fingerprints

LARGE = b"0123456789abcdef" * (fingerprints.SMALL // 8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is remembered: as seen from an hour after it was written."""
    path = tmp_path / "large.jsonl"
    path.write_bytes(LARGE)
    later(monkeypatch)
    return path


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3600 * 10**9)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def memories() -> list[Path]:
    return sorted(fingerprints.folder().glob("*.json"))


def num_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often the content of the file is read for one fingerprint."""
    reads = []
    real = fingerprints._read

    def read(file: IO[bytes]) -> fingerprints.Fingerprint:
        reads.append(file)
        return real(file)

    with monkeypatch.context() as patched:
        patched.setattr(fingerprints, "_read", read)
        fingerprints.of_file(path)
    return len(reads)


def test_size_and_digest_are_those_of_the_content(tmp_path: Path, large: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"abc")

    assert fingerprints.of_file(large) == (len(LARGE), sha256(large))
    assert fingerprints.of_file(small) == (3, sha256(small))


def test_a_large_file_is_read_once(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [num_read(large, monkeypatch) for _ in range(3)] == [1, 0, 0]


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.jsonl"
    fresh.write_bytes(LARGE)

    fingerprints.of_file(fresh)

    assert memories() == []


def test_a_date_in_the_future_is_never_trusted(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(large, (2**33, 2**33))

    fingerprints.of_file(large)

    assert memories() == []


def test_an_edit_that_keeps_size_and_date_is_noticed(large: Path) -> None:
    fingerprints.of_file(large)
    before = large.stat()
    with large.open("r+b") as file:
        file.write(b"X")
    while large.stat().st_ctime_ns == before.st_ctime_ns or large.stat().st_mtime_ns != before.st_mtime_ns:
        os.utime(large, ns=(before.st_atime_ns, before.st_mtime_ns))  # until the clock of the file system ticks

    found = fingerprints.of_file(large)

    assert large.stat().st_mtime_ns == before.st_mtime_ns
    assert found == (len(LARGE), sha256(large))


def test_another_file_of_the_same_size_and_date_in_its_place_is_noticed(large: Path, tmp_path: Path) -> None:
    fingerprints.of_file(large)
    before = large.stat()
    other = tmp_path / "other"
    other.write_bytes(b"X" + LARGE[1:])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, large)

    assert fingerprints.of_file(large).sha256 == sha256(large)


@pytest.mark.parametrize("change", ["touch", "rename", "copy"])
def test_date_name_and_place_do_not_change_the_fingerprint(large: Path, tmp_path: Path, change: str) -> None:
    before = fingerprints.of_file(large)
    path = large
    if change == "touch":
        os.utime(large, (1, 1))
    elif change == "rename":
        path = large.rename(tmp_path / "renamed")
    else:
        path = tmp_path / "copy"
        path.write_bytes(LARGE)

    assert fingerprints.of_file(path) == before


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"stamp": 1}', b"\xff\xfe", b'{"sha256": "short"}'])
def test_a_damaged_memory_is_ignored_and_written_again(
    large: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    fingerprints.of_file(large)
    (memory,) = memories()
    whole = memory.read_bytes()
    memory.write_bytes(damage)

    assert fingerprints.of_file(large).sha256 == sha256(large)
    assert memory.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_only_the_memory(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = large.parent / "file"
    blocked.write_text("a file where the cache's folder would be")
    monkeypatch.setenv("ALIGN_CACHE", str(blocked))

    assert fingerprints.of_file(large).sha256 == sha256(large)


def test_processes_at_the_same_time_give_the_same_and_leave_one_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    path.write_bytes(LARGE)
    code = (
        "import sys, time; from pathlib import Path; from align_cli import fingerprints\n"
        "real = time.time_ns; time.time_ns = lambda: real() + 10**13\n"
        "print({fingerprints.of_file(Path(sys.argv[1])).sha256 for _ in range(20)})"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]

    said = [child.communicate()[0].strip() for child in children]

    assert said == [str({sha256(path)})] * 3
    assert len(memories()) == 1
    assert [entry.name for entry in fingerprints.folder().iterdir() if entry.name.startswith(".")] == []


def test_pruning_forgets_files_that_are_gone_and_no_others(large: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.write_bytes(LARGE)
    fingerprints.of_file(large)
    fingerprints.of_file(gone)
    gone.unlink()
    (fingerprints.folder() / ".left-by-a-kill").write_text("{")

    assert fingerprints.prune() == 2
    assert len(list(fingerprints.folder().iterdir())) == 1
