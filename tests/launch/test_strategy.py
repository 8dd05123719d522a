from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from align_cli.errors import LaunchError
from align_cli.launch import strategy
from align_cli.launch.host import Gpu, Host
from align_cli.recipe.schema import Launch
from tests.launch.conftest import make_recipe

H100 = Gpu("NVIDIA H100", 80 * 10**9, (9, 0))
ONE_CPU = Host(cpus=4, memory_bytes=16 * 10**9)
EIGHT = Host(cpus=64, memory_bytes=10**12, gpus=(H100,) * 8, torch_cuda="13.0", packages=frozenset({"deepspeed"}))


def chosen(host: Host, fits: Any = None, environment: Any = None, **launch: Any) -> strategy.Choice:
    recipe = make_recipe(launch=Launch(**launch))
    more = {"fits": fits} if fits else {}
    return strategy.choose(recipe, host, environment=environment or {}, **more)


@pytest.mark.parametrize(
    ("host", "launch", "expected"),
    [
        (ONE_CPU, {}, ("single", 1)),
        (ONE_CPU, {"num_processes": 2}, ("ddp", 2)),
        (ONE_CPU, {"num_processes": 2, "strategy": "zero3"}, ("zero3", 2)),
        (EIGHT, {}, ("ddp", 8)),
        (EIGHT, {"strategy": "single"}, ("single", 1)),
        (EIGHT, {"num_machines": 2, "main_process_ip": "a"}, ("ddp", 16)),
    ],
)
def test_processes_and_strategy_follow_from_devices_and_wishes(host: Host, launch: dict[str, Any], expected: Any):
    found = chosen(host, **launch)

    assert (found.strategy, found.processes) == expected
    assert found.needs_workers == (expected != ("single", 1))


def only(*fitting: tuple[str, str]) -> Callable[[str, str, int], bool]:
    return lambda strategy, offload, processes: (strategy, offload) in fitting


@pytest.mark.parametrize(
    ("fits", "packages", "expected"),
    [
        (only(("ddp", "none"), ("zero2", "none")), {"deepspeed"}, ("ddp", "none")),
        (only(("zero2", "none"), ("fsdp", "none")), {"deepspeed"}, ("zero2", "none")),
        (only(("zero2", "none"), ("fsdp", "none")), set(), ("fsdp", "none")),
        (only(("zero3", "all")), {"deepspeed"}, ("zero3", "all")),
        (only(), set(), ("fsdp", "all")),
    ],
)
def test_auto_takes_the_fastest_that_fits_and_is_installed(fits: Any, packages: set[str], expected: tuple[str, str]):
    host = Host(cpus=64, memory_bytes=10**12, gpus=(H100,) * 8, torch_cuda="13.0", packages=frozenset(packages))

    found = chosen(host, fits)

    assert (found.strategy, found.offload) == expected


@pytest.mark.parametrize(
    ("offload", "packages", "fits", "expected"),
    [
        ("optimizer", {"deepspeed"}, None, "zero2"),
        ("optimizer", set(), None, "fsdp"),
        ("all", {"deepspeed"}, None, "fsdp"),
        ("all", {"deepspeed"}, only(("ddp", "none"), ("zero3", "all")), "zero3"),
    ],
)
def test_auto_takes_a_strategy_that_offloads_what_was_asked_for(
    offload: str, packages: set[str], fits: Any, expected: str
):
    host = Host(cpus=64, memory_bytes=10**12, gpus=(H100,) * 8, torch_cuda="13.0", packages=frozenset(packages))

    found = chosen(host, fits, offload=offload)

    assert (found.strategy, found.offload) == (expected, offload)


def test_a_choice_for_a_model_that_is_not_here_is_said_to_be_a_guess():
    assert "whether that fits is not known" in chosen(EIGHT).reasons[0]


@pytest.mark.parametrize("variable", ["SLURM_NODEID", "SKYPILOT_NODE_RANK"])
def test_a_machines_number_comes_from_the_batch_system(variable: str):
    launch = {"num_machines": 2, "main_process_ip": "a"}

    assert chosen(EIGHT, environment={variable: "1"}, **launch).machine_rank == 1
    assert chosen(EIGHT, environment={variable: "1"}, machine_rank=0, **launch).machine_rank == 0
    assert chosen(EIGHT, environment={variable: "1"}).machine_rank == 0


@pytest.mark.parametrize(
    ("host", "launch", "words", "hint"),
    [
        (EIGHT, {"num_processes": 9}, "9 processes, and this machine has 8 GPUs", "launch.num_processes=8"),
        (ONE_CPU, {"num_processes": 2, "strategy": "zero2"}, "needs the package deepspeed", "align-cli[deepspeed]"),
        (ONE_CPU, {"num_processes": 2, "strategy": "fsdp", "offload": "all"}, "nothing is on a GPU", "remove"),
        (ONE_CPU, {"num_processes": 2, "tensor_parallel": 2}, "tensor_parallel", "fsdp and zero3"),
    ],
)
def test_what_cannot_be_launched_here_is_said_with_a_way_out(host: Host, launch: dict[str, Any], words: str, hint: str):
    recipe = make_recipe(launch=Launch(**launch))

    with pytest.raises(LaunchError) as caught:
        strategy.demand(recipe, host, strategy.choose(recipe, host, environment={}))

    assert words in caught.value.problems[0].message
    assert hint in caught.value.problems[0].hint


def test_processes_that_share_a_matrix_read_the_same_rows():
    assert chosen(EIGHT, tensor_parallel=2, context_parallel=2, strategy="fsdp").data_parallel == 2
