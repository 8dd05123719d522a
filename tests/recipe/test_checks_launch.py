"""Rules on the launch block that need only text, each with its place and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from align_cli.errors import Problem, RecipeError
from align_cli.recipe.checks_launch import Endpoint, endpoint, unreachable
from tests.recipe.conftest import Write


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{num_processes: two}", 'launch.num_processes: expected a whole number or auto, not "two"'),
        ("{num_processes: 1.5}", 'launch.num_processes: expected a whole number or auto, not "1.5"'),
        ("{num_processes: 0}", "launch.num_processes is 0, expected at least 1"),
        ("{global_batch_size: 0}", "launch.global_batch_size is 0, expected at least 1"),
        ("{num_machines: 0}", "launch.num_machines is 0, expected at least 1"),
        ("{machine_rank: -1}", "launch.machine_rank is -1, expected at least 0"),
        ("{machine_rank: 1}", "launch.machine_rank is 1, and there is 1 machine"),
        (
            "{num_machines: 2, machine_rank: 2, main_process_ip: a}",
            "launch.machine_rank is 2, and there are 2 machines",
        ),
        ("{num_machines: 2, num_processes: 3, main_process_ip: a}", "3 processes cannot be divided evenly among 2"),
        ("{main_process_port: 65535}", "launch.main_process_port is 65535, expected at most 65534"),
        ("{main_process_port: 0}", "launch.main_process_port is 0, expected at least 1"),
        ("{rendezvous_timeout: 0}", "launch.rendezvous_timeout is 0, expected more than 0"),
        ("{max_restarts: -1}", "launch.max_restarts is -1, expected at least 0"),
        ("{rendezvous: node-0}", 'launch.rendezvous: expected HOST:PORT, not "node-0"'),
        ("{rendezvous: 'a:70000'}", "launch.rendezvous: the port is 70000, expected at most 65534"),
        ("{rendezvous: 'a:1', main_process_ip: b}", "launch.rendezvous says a, launch.main_process_ip says b"),
        ("{strategy: single, num_processes: 2}", "launch.strategy: single is one process"),
        ("{strategy: ddp, offload: optimizer}", "launch.offload: optimizer is not possible with strategy ddp"),
        ("{strategy: zero2, offload: all}", "launch.offload: all is not possible with strategy zero2"),
        ("{strategy: ddp, context_parallel: 2}", "launch.context_parallel needs strategy fsdp, and it is ddp"),
        ("{tensor_parallel: 2, num_processes: 3}", "3 processes cannot be divided among groups of 2"),
    ],
)
def test_a_block_that_cannot_be_launched_is_told_so(problem: Callable[..., Problem], block: str, said: str) -> None:
    found = problem(f"launch: {block}\n")

    assert found.message.startswith(said)
    assert found.where == "recipe.yaml:5"


@pytest.mark.parametrize(
    "block",
    [
        "{}",
        "{num_processes: auto}",
        "{strategy: zero1, offload: optimizer, num_processes: 8}",
        "{strategy: fsdp, offload: all, context_parallel: 2, num_processes: 8}",
        "{num_machines: 2, machine_rank: 1, num_processes: 16, rendezvous: 'a:29500'}",
    ],
)
def test_a_right_block_has_no_problem_and_no_note(recipe: Write, block: str) -> None:
    assert recipe(f"launch: {block}\n").notes == ()


def test_all_problems_of_a_block_are_told_at_once(problems: Callable[..., list[Problem]]) -> None:
    found = problems("launch:\n  num_processes: none at all\n  main_process_port: 0\n  max_restarts: -1\n")

    assert [problem.where for problem in found] == ["recipe.yaml:6", "recipe.yaml:7", "recipe.yaml:8"]


def test_what_a_preset_may_still_say_is_not_complained_about(recipe: Write) -> None:
    assert recipe("launch: {preset: 8xgpu-zero3, offload: all}\n").launch.offload == "all"


def test_several_machines_without_an_address_are_noted_and_stop_only_a_run(recipe: Write) -> None:
    loaded = recipe("launch: {num_machines: 2}\n")

    lacking = unreachable(loaded)

    assert [note.key for note in loaded.notes] == ["launch.num_machines"]
    assert lacking is not None
    assert lacking.where == "recipe.yaml:5"
    assert unreachable(recipe("launch: {num_machines: 2, main_process_ip: a}\n")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("launch: {strategy: ddp}\ndeepspeed: {zero_optimization: {stage: 3}}\n", "strategy: zero3, or remove"),
        ("launch: {strategy: zero2}\ndeepspeed: {zero_optimization: {stage: 3}}\n", "strategy: zero3, or auto"),
        ("launch: {strategy: ddp}\nfsdp: full_shard\n", "strategy: fsdp, or remove fsdp:"),
    ],
)
def test_the_strategy_and_upstream_s_own_words_must_agree(
    problem: Callable[..., Problem], text: str, said: str
) -> None:
    assert problem(text).hint.startswith(said)


@pytest.mark.parametrize("key", ["deepspeed", "fsdp_config"])
@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "there is no file"), ("stage: 3", "is not JSON"), ("[3]", "holds no JSON object"), ('{"a": 1}', "")],
)
def test_a_file_of_the_strategy_is_looked_at_before_the_work(
    recipe: Write, here: Path, key: str, content: str | None, said: str
) -> None:
    if content is not None:
        (here / "config.json").write_text(content)
    text = f"{key}: config.json\n"

    if not said:
        assert recipe(text).get(key) == "config.json"
        return
    with pytest.raises(RecipeError) as caught:
        recipe(text)

    assert said in caught.value.problems[0].message
    assert caught.value.problems[0].where == "recipe.yaml:5"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("node-0:29500", Endpoint("node-0", 29500)),
        ("10.0.0.1:1", Endpoint("10.0.0.1", 1)),
        ("[::1]:80", Endpoint("::1", 80)),
        ("::1:80", None),
        ("node-0:", None),
        (":80", None),
        ("a b:80", None),
        ("tcp://a:80", None),
    ],
)
def test_an_endpoint_is_a_host_and_a_port(text: str, found: Endpoint | None) -> None:
    assert endpoint(text) == found


@pytest.mark.parametrize("line", ["accelerate_config: f.yaml", "config_file: f.yaml", "num_processes: 8"])
def test_a_flat_word_of_the_launcher_is_told_its_place(recipe: Write, line: str) -> None:
    (note,) = recipe(line + "\n").notes

    assert "launch: {" in note.message
