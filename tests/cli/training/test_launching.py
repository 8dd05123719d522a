"""What `align train` finds wrong with a launch before it prepares or writes anything."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.cli.conftest import Align

TWO = ("train", "sft", "r.yaml", "use_cpu=true", "--num-processes", "2")


def test_a_port_in_use_is_found_before_anything_is_prepared_or_written(align: Align, recipe: Path) -> None:
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = align(*TWO, "--main-process-port", port, "--json")

    assert done.code == 4
    assert f"port {port} is in use" in done.error["message"]
    assert not (recipe.parent / "out").exists()


def test_a_batch_that_cannot_be_dealt_out_is_a_problem_of_the_words_that_ask_for_it(align: Align, recipe: Path) -> None:
    done = align(*TWO, "--global-batch-size", "7", "--json")

    assert done.code == 2
    assert done.error["problems"][0]["where"] == "--global-batch-size 7"


def test_a_wrong_option_is_quoted_as_it_was_typed_and_the_command_line_is_blamed(align: Align, recipe: Path) -> None:
    done = align("train", "sft", "r.yaml", "--strategy", "fdsp", "--num-proceses", "2", "--dry-run", "--json")

    problems = {problem["where"]: problem for problem in done.error["problems"]}
    assert done.code == 2
    assert done.error["message"].startswith("the command line has")
    assert set(problems) == {"--strategy fdsp", "--num-proceses 2"}
    assert problems["--num-proceses 2"]["hint"] == "did you mean --num-processes?"
