"""Two machines: on loopback, and as two network namespaces joined by a cable, through the documented commands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from align_cli.launch.workers import ports
from tests.distributed.conftest import Place, end_of, losses, wait_for, workers_of
from tests.distributed.test_faults import LONG, reached

pytestmark = pytest.mark.slow


def words(rank: int, port: int, address: str = "127.0.0.1") -> tuple[str, ...]:
    return (
        "--num-machines", "2", "--num-processes", "2", "--machine-rank", str(rank),
        "--main-process-ip", address, "--main-process-port", str(port), "--rendezvous-timeout", "120",
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(place: Place) -> Path:
    return place.train("gradient_accumulation_steps=2", out="alone")


@pytest.fixture
def cable() -> Iterator[str]:
    """Two namespaces, `align-m0` and `align-m1`, joined by a veth pair; the address of the first."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    commands = [
        "netns add align-m0", "netns add align-m1", "link add align-v0 type veth peer name align-v1",
        "link set align-v0 netns align-m0", "link set align-v1 netns align-m1",
        "-n align-m0 addr add 10.77.0.1/24 dev align-v0", "-n align-m1 addr add 10.77.0.2/24 dev align-v1",
        *(f"-n align-m{n} link set {device} up" for n in (0, 1) for device in ("lo", f"align-v{n}")),
    ]  # fmt: skip
    try:
        for command in commands:
            done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"network namespaces cannot be made here: ip {command}: {done.stderr.strip()}")
        yield "10.77.0.1"
    finally:
        for name in ("align-m0", "align-m1"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_two_namespaces_with_a_shared_folder_train_what_one_process_does(place: Place, alone: Path, cable: str):
    inside = [("ip", "netns", "exec", f"align-m{rank}") for rank in (0, 1)]
    both = [place.start(*words(rank, 29500, cable), "output_dir=cable", prefix=inside[rank]) for rank in (0, 1)]
    said = [end_of(process) for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert losses(place.folder / "cable") == pytest.approx(losses(alone), abs=1e-5)


def test_without_a_shared_folder_each_machine_has_its_own(place: Place, alone: Path):
    port = ports.free()
    both = [place.start(*words(rank, port), f"output_dir=own-{rank}") for rank in (0, 1)]
    said = [end_of(process) for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert losses(place.folder / "own-0") == pytest.approx(losses(alone), abs=1e-5)
    assert (place.folder / "own-0" / "model.safetensors").is_file()
    assert (place.folder / "own-1" / "align" / "recipe.json").is_file()


def test_machines_that_would_train_something_else_do_not_start(place: Place):
    port = ports.free()
    other = place.start(*words(1, port), "learning_rate=5e-3", "output_dir=differ")
    done = place.run(*words(0, port), "output_dir=differ")
    said = end_of(other)

    assert (done.returncode, other.returncode) == (4, 4)
    assert "differ in the recipe" in done.stderr
    assert "differ in the recipe" in said
    assert not (place.folder / "differ").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_machine_that_never_comes_is_an_error_after_the_time_that_was_set(rank: int, place: Place):
    done = place.run(*words(rank, ports.free()), "--rendezvous-timeout", "1", "output_dir=nobody")

    assert done.returncode == 4
    assert ("machine 1 of 2 did not come" if rank == 0 else "machine 0 could not be reached") in done.stderr
    assert not (place.folder / "nobody").exists()


def test_a_worker_killed_on_one_machine_ends_all_with_the_same_words(place: Place):
    port = ports.free()
    both = [place.start(*words(rank, port), *LONG, "output_dir=killed") for rank in (0, 1)]
    run = place.folder / "killed"
    wait_for(lambda: reached(run), both[0])

    os.kill(workers_of(run)[1], signal.SIGKILL)
    said = [end_of(process) for process in both]

    assert [process.returncode for process in both] == [1, 1]
    assert all("rank 1 of 2 on" in words and "was killed by SIGKILL" in words for words in said)
    assert workers_of(run) == {}


def test_a_machine_that_is_gone_is_noticed(place: Place):
    port = ports.free()
    both = [place.start(*words(rank, port), *LONG, "output_dir=gone") for rank in (0, 1)]
    run = place.folder / "gone"
    wait_for(lambda: reached(run), both[0])

    both[1].kill()
    said = end_of(both[0])
    end_of(both[1])

    assert both[0].returncode == 1
    assert "machine 1" in said or "rank 1" in said
    assert workers_of(run) == {}
