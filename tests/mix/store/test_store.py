from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from align_cli import files, fingerprints
from align_cli.errors import AlignError, DataError, UsageError
from align_cli.mix.build import build
from align_cli.mix.store import folders, store
from align_cli.recipe.schema import Mixture, Source
from tests.mix.conftest import chats

Jsonl = Callable[[str, Iterable[Any]], str]
DIGEST = "ab" * 32


def silent(line: str) -> None:
    """What a build says is of no interest here."""


def finished(digest: str, *, rows: int = 1, report: str = '{"sources": [{"label": "a"}], "kind": "text"}') -> Path:
    folder = store.root() / digest
    folder.mkdir(parents=True)
    with pa.ipc.new_stream(str(folder / "train.arrow"), pa.schema([("text", pa.string())])) as writer:
        writer.write_batch(pa.record_batch([pa.array(["x"] * rows)], names=["text"]))
    (folder / store.REPORT).write_text(report)
    return folder


def built(path: str) -> Path:
    return build(Mixture(sources=(Source(path=path),)), ("messages",)).folder


def names() -> list[str]:
    return sorted(entry.name for entry in store.root().iterdir())


def test_only_finished_mixtures_are_listed_newest_first() -> None:
    for number, name in enumerate(("old", "new")):
        os.utime(finished(name), (number, number))
    (store.root() / "unfinished").mkdir()

    assert [entry.digest for entry in store.stored()] == ["new", "old"]
    assert store.find("old") == store.root() / "old"
    assert store.find("unfinished") is None


def test_an_absent_store_is_an_empty_one() -> None:
    assert (store.stored(), store.entries(), store.remains(), store.sweep()) == ([], [], [], [])


@pytest.mark.parametrize("damage", ["cut stream", "no stream", "empty report", "half a report", "no report"])
def test_a_damaged_mixture_is_no_hit_is_listed_as_such_and_is_built_again(jsonl: Jsonl, damage: str) -> None:
    folder = built(jsonl("a.jsonl", chats(5)))
    whole = (folder / "train.arrow").read_bytes()
    report = (folder / store.REPORT).read_bytes()
    if damage == "cut stream":
        (folder / "train.arrow").write_bytes(whole[:-9])
    elif damage == "no stream":
        (folder / "train.arrow").unlink()
    elif damage == "no report":
        (folder / store.REPORT).unlink()
    else:
        (folder / store.REPORT).write_bytes(report[: len(report) // 2 if damage == "half a report" else 0])

    assert store.find(folder.name) is None
    assert [bool(entry.problem) for entry in store.entries()] == [True]
    assert built("a.jsonl") == folder
    assert (folder / "train.arrow").read_bytes() == whole
    assert names() == [folder.name]


def test_entries_say_what_they_are_made_of(jsonl: Jsonl) -> None:
    folder = built(jsonl("a.jsonl", chats(5)))
    tokens = files.cache_root() / "tokens" / ("cd" * 16)
    files.write_json(
        tokens / "report.json", {"rows": {"train": 4}, "tokenizer": "/models/smol", "per_source": [{"rows": 4}]}
    )
    files.write_json(tokens / "inputs.json", {"mixture": folder.name})
    config = {"model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576}
    files.write_json(files.cache_root() / "models" / ("ef" * 16) / "config.json", config)
    files.write_text(files.cache_root() / "models" / "digests" / "x", "y")

    found = store.entries()

    assert [(entry.kind, entry.holds, entry.labels, entry.rows) for entry in found] == [
        ("mixture", "messages", ("a.jsonl",), 5),
        ("tokens", "tokens of smol", ("a.jsonl",), 4),
        ("model", "llama", ("llama, 30 layers, width 576",), None),
    ]
    assert found[0].bytes == sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize("report", ["{}", '{"sources": 3}', '{"sources": [{}]}', '{"sources": [null]}'])
def test_mixtures_of_other_versions_are_listed_all_the_same(report: str) -> None:
    finished(DIGEST, report=report)

    assert [entry.digest for entry in store.entries()] == [DIGEST]


def test_the_beginning_of_a_digest_names_it_when_it_is_the_only_one() -> None:
    for name in ("abc1", "abc2", "abc"):
        finished(name)

    assert store.matching("abc1").digest == "abc1"
    assert store.matching("abc").digest == "abc"
    with pytest.raises(UsageError, match='3 digests begin with "ab"'):
        store.matching("ab")
    with pytest.raises(UsageError, match='begins with "x"'):
        store.matching("x")
    with pytest.raises(UsageError):
        store.matching("")


def test_removing_takes_the_folder_its_remains_and_its_lock_and_nothing_else(jsonl: Jsonl) -> None:
    folder = built(jsonl("a.jsonl", chats(5)))
    finished(DIGEST)
    (store.root() / f".{folder.name}.left").mkdir()
    (store.root() / f".{folder.name}.lock").touch()

    assert store.remove(folder.name[:12]).folder == folder
    assert names() == [DIGEST]
    assert built("a.jsonl") == folder


def test_what_is_being_built_is_neither_removed_nor_swept() -> None:
    finished(DIGEST)
    with store.building(DIGEST, silent):
        half = store.root() / f".{DIGEST}.half"
        half.mkdir()

        with pytest.raises(UsageError, match="being built by another process"):
            store.remove(DIGEST)
        assert store.remains() == []
        assert store.sweep() == []
        assert half.is_dir()

    assert store.find(DIGEST)


def test_what_killed_builds_left_is_listed_and_swept() -> None:
    finished(DIGEST)
    (store.root() / ".dead.x1").mkdir()
    (store.root() / ".dead.x1" / "train.arrow").write_bytes(b"12345")
    (store.root() / ".dead.lock").touch()
    (store.root() / f".{DIGEST}.lock").touch()
    tokens = files.cache_root() / "tokens"
    (tokens / ".cd.x2").mkdir(parents=True)
    (tokens / "ee").mkdir()
    (tokens / ".ee.lock").touch()  # as `files.build_once` leaves it beside what it built

    found = {(left.kind, left.digest): left.bytes for left in store.remains()}

    assert found == {("mixture", "dead"): 5, ("mixture", DIGEST): 0, ("tokens", "cd"): 0}
    assert len(store.sweep()) == 3
    assert store.remains() == []
    assert names() == [DIGEST]
    assert sorted(entry.name for entry in tokens.iterdir()) == [".ee.lock", "ee"]


def test_sweeping_prunes_the_memory_of_files_that_are_gone() -> None:
    files.write_json(fingerprints.folder() / "x.json", {"path": "gone", "stamp": {}, "sha256": ""})

    store.sweep()

    assert list(fingerprints.folder().iterdir()) == []


def test_a_finished_build_leaves_no_lock(jsonl: Jsonl) -> None:
    folder = built(jsonl("a.jsonl", chats(5)))

    assert names() == [folder.name]


# Processes


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-c", code, *words]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process: subprocess.Popen[str] = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


BUILD = """
import sys
from align_cli.mix.build import build
from align_cli.recipe.schema import Mixture, Source
say = print if "say" in sys.argv else lambda line: None
made = build(Mixture(sources=(Source(path=sys.argv[1]),)), ("messages",), say=say)
print(made.folder.name, made.from_store)
"""

#: The same, stopping to say so at each of the calls by which the disk is changed.
STEPPED = (
    """
import sys
def step(event, arguments):
    if event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "tempfile.mkdtemp", "fcntl.flock"):
        print("step")
        sys.stdin.readline()
sys.addaudithook(step)
"""
    + BUILD
)


@pytest.mark.slow
def test_kill_9_leaves_the_old_store_or_the_new_one(jsonl: Jsonl, child: Callable[..., Any]) -> None:
    """Killed at every point at which a build changes the disk: what is found is whole, and the next build works."""
    path = jsonl("a.jsonl", chats(50))
    folder = built(path)
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    store.remove(folder.name)
    kept = finished(DIGEST)

    for number in range(1, 100):
        process = child(STEPPED, path)
        for _ in range(number):
            said = process.stdout.readline()
            if said != "step\n":
                break
            process.stdin.write("\n")
            process.stdin.flush()
        else:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        if found := store.find(folder.name):
            assert {file.name: file.read_bytes() for file in found.iterdir()} == whole
        assert store.find(DIGEST) == kept
        assert built(path) == folder
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole
        store.sweep()  # killed after the rename: the lock is left and nobody asks for it
        assert names() == sorted([DIGEST, folder.name])
        store.remove(folder.name)
        if said != "step\n":
            break

    assert number > 4
    assert said == f"{folder.name} False\n"


def test_a_second_build_waits_says_so_and_takes_what_the_first_made(jsonl: Jsonl, child: Callable[..., Any]) -> None:
    path = jsonl("a.jsonl", chats(5))
    folder = built(path)
    store.remove(folder.name)
    with store.building(folder.name, silent):
        process = child(BUILD, path, "say")
        waits = process.stdout.readline()
        while waits and "waiting" not in waits:
            waits = process.stdout.readline()
        with files.new_folder(folder) as work:
            with pa.ipc.new_stream(str(work / "train.arrow"), pa.schema([])):
                pass
            report = {"sources": [{"files": []}], "notes": [], "num_train": 0, "num_eval": 0, "inputs": {}}
            files.write_json(work / store.REPORT, report)

    rest, errors = process.communicate()

    assert waits == f"another process ({os.getpid()}) is building this mixture; waiting for it\n"
    assert rest == f"{folder.name} True\n", errors
    assert names() == [folder.name]


@pytest.mark.slow
def test_several_builds_at_once_make_one_whole_mixture(jsonl: Jsonl, child: Callable[..., Any]) -> None:
    path = jsonl("a.jsonl", chats(200))
    processes = [child(BUILD, path) for _ in range(3)]

    last = [process.communicate()[0].splitlines()[-1].split() for process in processes]

    assert sorted(from_store for _, from_store in last) == ["False", "True", "True"]
    assert names() == [last[0][0]]


def test_a_lock_whose_file_is_taken_away_while_another_waits_still_excludes() -> None:
    """Who waited holds a file that is gone: they must not believe that they hold the lock."""
    folder = store.root() / DIGEST
    store.root().mkdir(parents=True)
    lock = folders.lock_of(folder)
    stale = lock.open("a+b")
    lock.unlink()
    fcntl.flock(stale, fcntl.LOCK_EX)

    with folders.locked(folder) as held:
        assert held
        with folders.locked(folder) as again:
            assert not again
        assert lock.exists()

    stale.close()


# Disks


@pytest.fixture
def tiny_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    monkeypatch.setenv("ALIGN_CACHE", str(place / "cache"))
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # the error's frames may hold a file open


def test_a_full_disk_is_said_and_leaves_nothing_behind(jsonl: Jsonl, tiny_disk: Path) -> None:
    jsonl("a.jsonl", chats(20_000))

    with pytest.raises(AlignError, match=r"the disk that holds .* is full") as caught:
        built("a.jsonl")

    assert "ALIGN_CACHE" in caught.value.hint
    assert [path for path in tiny_disk.rglob("*") if path.is_file()] == []
    assert names() == []


@pytest.mark.slow
def test_a_file_that_grows_past_the_limit_is_said_and_leaves_nothing_behind(
    jsonl: Jsonl, child: Callable[..., Any]
) -> None:
    path = jsonl("a.jsonl", chats(20_000))
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n" + BUILD

    _, errors = child(code, path).communicate()

    assert "AlignError: a file in" in errors
    assert "larger than this system allows; nothing half-made was left there" in errors
    assert names() == []


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), AlignError, "is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), AlignError, "is full"),
        (OSError("[Errno 28] Error writing bytes: No space left on device"), AlignError, "is full"),
        (OSError(errno.EROFS, "Read-only file system"), UsageError, "cannot be used: Read-only file system"),
        (OSError(errno.ENOLCK, "No locks available"), UsageError, "has no locks"),
        (OSError(errno.EIO, "Input/output error", "/data/a.jsonl"), DataError, "/data/a.jsonl: Input/output error"),
    ],
)
def test_what_the_disk_says_becomes_a_sentence(error: OSError, kind: type[AlignError], said: str) -> None:
    with pytest.raises(AlignError, match=said) as caught, store.building(DIGEST, silent):
        raise error

    assert type(caught.value) is kind
    assert names() == []


def test_a_store_that_cannot_be_written_to_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "file"))

    with pytest.raises(UsageError, match="cannot be used") as caught, store.building(DIGEST, silent):
        pass

    assert "ALIGN_CACHE" in caught.value.hint
