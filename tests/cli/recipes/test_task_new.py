"""What `align task new` writes, and what it refuses; tests/plugin installs and trains it."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Align


@pytest.mark.parametrize("like", ["sft", "dpo"])
def test_a_package_is_written_and_what_to_type_next_is_said(like: str, align: Align, tmp_path: Path):
    done = align("task", "new", "two_words", "--like", like)

    assert done.code == 0
    folder = tmp_path / "align-two-words"
    written = sorted(path.relative_to(tmp_path).as_posix() for path in folder.rglob("*") if path.is_file())
    assert done.out.splitlines() == written
    assert done.err.startswith("next: pip install -e align-two-words\n")
    assert "align train two_words align-two-words/two_words.yaml --dry-run" in done.err
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "align-two-words"
    assert project["project"]["entry-points"] == {"align.tasks": {"two_words": "align_two_words.task:TASK"}}
    for path in folder.rglob("*.py"):
        ast.parse(path.read_text())
    assert not any("$" in path.read_text() for path in folder.rglob("*") if path.is_file())


def test_json_says_the_same(align: Align):
    document = align("task", "new", "warm", "place", "--json").document

    assert document["folder"] == "place"
    assert "align_warm/task.py" in document["files"]
    assert document["next"][0] == "pip install -e place"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my-task", "beginning with a letter: my_task"),
        ("MyTask", "beginning with a letter: mytask"),
        ("2nd", "lower-case letters, digits and underscores, beginning with a letter\n"),
        ("", "cannot be the name of a task"),
        ("dpo", 'there is a task "dpo" already, of align itself'),
        ("cli", 'a package "align_cli" is installed already'),
    ],
)
def test_a_bad_name_is_refused_and_nothing_is_written(name: str, said: str, align: Align, tmp_path: Path):
    done = align("task", "new", name)

    assert done.code == 2
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_folder_is_left_alone(align: Align, tmp_path: Path):
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")

    folder, file = align("task", "new", "warm", "place"), align("task", "new", "warm", "file")

    assert (folder.code, file.code) == (2, 2)
    assert "place is not empty" in folder.err
    assert "file is a file" in file.err
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["mine"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "place"]


def test_an_empty_folder_is_filled(align: Align, tmp_path: Path):
    (tmp_path / "place").mkdir()
    before = (tmp_path / "place").stat().st_ino

    done = align("task", "new", "warm", "place")

    assert done.code == 0
    assert (tmp_path / "place").stat().st_ino == before
    assert (tmp_path / "place" / "warm.yaml").is_file()
    assert not list((tmp_path / "place").glob(".*"))


def test_a_folder_that_cannot_be_made_is_said(align: Align, tmp_path: Path):
    (tmp_path / "file").write_text("")

    done = align("task", "new", "warm", "file/below")

    assert done.code == 2
    assert "file/below cannot be written" in done.err


def test_an_unknown_example_is_refused(align: Align):
    done = align("task", "new", "warm", "--like", "kto")

    assert done.code == 2
    assert "--like sft or --like dpo" in done.err
