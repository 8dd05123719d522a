from __future__ import annotations

import pytest

from align_cli import __version__
from align_cli.cli.app import COMMANDS
from tests.cli.conftest import Align


def test_the_version_is_one_line(align: Align):
    for word in ("--version", "-V"):
        done = align(word)

        assert (done.code, done.out) == (0, f"align {__version__}\n")


def test_help_lists_every_command(align: Align):
    done = align("--help")

    assert done.code == 0
    assert all(f"  {name} " in done.out for name in COMMANDS)


def test_no_command_shows_the_help_and_fails(align: Align):
    done = align()

    assert done.code == 2
    assert "Commands:" in done.out


def test_a_misspelt_command_is_suggested(align: Align):
    done = align("trian")

    assert done.code == 2
    assert "did you mean train?" in done.err
    assert done.out == ""


@pytest.mark.parametrize("words", [("--foo",), ("task", "show"), ("task", "foo"), ("recipe", "check", "--foo", "x")])
def test_usage_errors_are_short_and_name_the_help(align: Align, words: tuple[str, ...]):
    done = align(*words)

    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "--help" in done.err
    assert len(done.err.splitlines()) <= 3


@pytest.mark.parametrize("name", COMMANDS)
def test_no_summary_is_cut_in_a_terminal_of_80_columns(align: Align, name: str):
    lines = align(name, "--help", COLUMNS="80").out.partition("Commands:")[2].splitlines()

    assert not [line for line in lines if line.endswith("...")]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(align: Align, name: str):
    done = align(name, "--help")

    assert done.code == 0
    assert done.out.startswith(f"Usage: align {name}")
    assert done.err == ""


def test_completion_offers_commands_tasks_and_keys(align: Align, recipe: object):
    def offered(*words: str) -> str:
        line = " ".join(("align", *words))
        return align(_ALIGN_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words))).out

    assert "train" in offered("tr")
    assert offered("train", "sf").strip() == "sft"
    assert "r.yaml" in offered("train", "sft", "r.")
    assert "learning_rate=" in offered("train", "sft", "r.yaml", "learning_r")


def test_a_crash_leaves_a_file_and_no_traceback(align: Align, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "yaml.py").write_text("raise RuntimeError('boom')", encoding="utf-8")

    done = align("train", "sft", "r.yaml", PYTHONPATH=f"{tmp_path / 'broken'}:{_root()}")

    assert done.code == 1
    assert "RuntimeError: boom" in done.err
    assert "Traceback" not in done.err
    path = done.err.split("the traceback is in ")[1].splitlines()[0]
    with open(path, encoding="utf-8") as file:
        assert "Traceback" in file.read()


def _root() -> str:
    import align_cli

    return align_cli.__path__[0].removesuffix("/align_cli")
