from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from align_cli.files import build_once


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    built: list[Path] = []

    answers = [build_once(tmp_path / "made", built.append) for _ in range(2)]

    assert answers == [False, True]
    assert len(built) == 1
    assert (tmp_path / "made").is_dir()


def test_a_build_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    def fail(work: Path) -> None:
        (work / "half").touch()
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        build_once(tmp_path / "made", fail)

    assert [item.name for item in tmp_path.iterdir()] == [".made.lock"]


_KILLED = """
import os, sys
from pathlib import Path
from align_cli.files import build_once
build_once(Path(sys.argv[1]), lambda work: ((work / "half").touch(), os.kill(os.getpid(), 9)))
"""


def test_what_a_killed_build_left_is_swept_by_the_next(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "made")], cwd=root, check=False)
    left = [item.name for item in tmp_path.iterdir() if item.is_dir()]

    build_once(tmp_path / "made", lambda work: (work / "whole").touch())

    assert killed.returncode == -9
    assert len(left) == 1
    assert sorted(item.name for item in tmp_path.iterdir()) == [".made.lock", "made"]
    assert [item.name for item in (tmp_path / "made").iterdir()] == ["whole"]


_BUILD = """
import sys, time
from pathlib import Path
from align_cli.files import build_once
def make(work):
    (work / "by").write_text(sys.argv[2])
    print("building", flush=True)
    sys.stdin.read()
print(build_once(Path(sys.argv[1]), make), flush=True)
"""


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    def start(name: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", _BUILD, str(tmp_path / "made"), name]
        root = Path(__file__).parents[1]
        return subprocess.Popen(words, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    first = start("first")
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    second = start("second")

    first_said, _ = first.communicate("")
    second_said, _ = second.communicate("")

    assert (first_said, second_said) == ("False\n", "True\n")
    assert (tmp_path / "made" / "by").read_text() == "first"
