"""An sbatch file: bash can read it, sbatch can, and run with stand-ins for Slurm it does what it says."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.errors import RecipeError, UsageError
from align_cli.launch.cluster import command
from align_cli.launch.cluster.slurm import SlurmJob, directive, render
from align_cli.recipe.schema import Recipe
from tests.launch.cluster.conftest import Cluster

Make = Callable[..., Recipe]
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


def job(**words: Any) -> SlurmJob:
    least: dict[str, Any] = {"name": "a-job", "nodes": 2, "gpus_per_node": 8, "directory": os.getcwd()}
    return SlurmJob(**{**least, **words})


def directives(script: str) -> dict[str, str]:
    """The options as sbatch reads them: quotes, backslashes and `#` as in a shell."""
    lines = [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")]
    words = [word for line in lines for word in shlex.split(line, comments=True)]
    return dict(word.removeprefix("--").partition("=")[::2] for word in words)


EVERYTHING: dict[str, Any] = {
    "partition": "big gpu",
    "account": "team#1",
    "qos": "it's",
    "time": "1-00:00:00",
    "cpus_per_task": 16,
    "port": 29400,
    "modules": ("cuda/12.9",),
    "setup": ("export NCCL_DEBUG=INFO",),
    "directives": ("--constraint=h100",),
    "log": "/my logs/%x-%j.out",
}


@pytest.mark.parametrize("options", [{}, EVERYTHING, {"gpus_per_node": 0, "nodes": 1}], ids=["least", "all", "cpus"])
def test_bash_can_read_every_file(recipe: Make, options: dict[str, Any]) -> None:
    script = render(recipe("", 'output_dir=runs/it\'s "here" $HOME'), job(**options))

    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert script.startswith("#!/bin/bash\n")


def test_sbatch_reads_the_options_as_they_were_given(recipe: Make) -> None:
    found = directives(render(recipe(), job(**EVERYTHING)))

    assert found["partition"] == "big gpu"
    assert (found["account"], found["qos"], found["output"]) == ("team#1", "it's", "/my logs/%x-%j.out")
    assert (found["nodes"], found["ntasks-per-node"], found["gpus-per-node"]) == ("2", "1", "8")
    assert (found["constraint"], found["cpus-per-task"]) == ("h100", "16")
    assert found["signal"] == "B:USR1@120"
    assert {"requeue", "open-mode"} <= set(found)


def test_options_stand_before_the_first_command(recipe: Make) -> None:
    lines = render(recipe(), job(**EVERYTHING)).splitlines()

    last = max(number for number, line in enumerate(lines) if line.startswith("#SBATCH"))

    assert all(line.startswith("#") for line in lines[:last])


def test_each_node_trains_with_its_rank_the_first_node_s_name_and_the_overrides(
    recipe: Make, cluster: Cluster, tmp_path: Path
) -> None:
    folder = str(tmp_path / "my work")
    loaded = recipe("", "learning_rate=1e-5", 'output_dir=runs/it\'s "here" $HOME', "launch.strategy=zero3")

    code, _ = cluster.run(render(loaded, job(cpus_per_task=4, modules=("cuda/12.9",))))

    assert code == 0
    for rank in ("0", "1"):
        assert cluster.words(f"align-{rank}") == [
            folder,
            *("train", "sft", f"{folder}/my recipe.yaml"),
            *("learning_rate=1e-5", 'output_dir=runs/it\'s "here" $HOME', "launch.strategy=zero3"),
            *("launch.num_machines=2", "launch.num_processes=16"),
            *("launch.main_process_ip=node-a", "launch.main_process_port=26912", f"launch.machine_rank={rank}"),
        ]
    assert cluster.words("srun")[:6] == [
        *("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--kill-on-bad-exit=0", "--wait=0", "--cpus-per-task=4"),
    ]
    assert cluster.words("module") == ["load", "cuda/12.9"]


def test_the_number_of_nodes_may_be_changed_when_it_is_submitted(recipe: Make, cluster: Cluster) -> None:
    cluster.run(render(recipe(), job(nodes=2, port=29400)), SLURM_JOB_NUM_NODES="3")

    assert cluster.words("align-2")[-5:] == [
        *("launch.num_machines=3", "launch.num_processes=24", "launch.main_process_ip=node-a"),
        *("launch.main_process_port=29400", "launch.machine_rank=2"),
    ]


def test_what_the_recipe_said_of_other_machines_is_left_out(recipe: Make, cluster: Cluster) -> None:
    text = "launch: {rendezvous: 'other:1', num_machines: 2, num_processes: 4}\n"

    cluster.run(render(recipe(text, "launch.machine_rank=1", "launch.num_processes=8"), job()))

    words = cluster.words("align-0")
    assert "launch.rendezvous=null" in words
    assert [word for word in words if "machine_rank" in word or "num_processes" in word] == [
        *("launch.num_processes=16", "launch.machine_rank=0"),
    ]


def test_a_failed_run_fails_the_job_and_is_not_queued_again(recipe: Make, cluster: Cluster) -> None:
    code, _ = cluster.run(render(recipe(), job()), ENDS="3")

    assert code == 3
    assert not cluster.has("scontrol-requeue")


@pytest.fixture
def ready(tmp_path: Path) -> str:
    """A pipe that each stand-in for align writes a line to once it runs."""
    name = tmp_path / "ready"
    os.mkfifo(name)
    return str(name)


def test_a_job_whose_time_is_up_saves_and_is_queued_again(recipe: Make, cluster: Cluster, ready: str) -> None:
    process = cluster.start(render(recipe(), job(nodes=1)), READY=ready, SLURM_JOB_NUM_NODES="1")
    Path(ready).read_text(encoding="utf-8")

    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=30)

    assert process.returncode == 143
    assert cluster.words("scancel") == ["--signal=TERM", "123456"]
    assert cluster.words("scontrol-requeue") == ["requeue", "123456"]


def test_a_cancelled_job_waits_for_its_checkpoint_and_is_not_queued_again(
    recipe: Make, cluster: Cluster, ready: str
) -> None:
    process = cluster.start(render(recipe(), job(nodes=1)), READY=ready, SLURM_JOB_NUM_NODES="1")
    Path(ready).read_text(encoding="utf-8")

    os.killpg(process.pid, signal.SIGTERM)  # Slurm signals the script and every task
    process.communicate(timeout=30)

    assert process.returncode == 143
    assert cluster.has("saved-0")
    assert not cluster.has("scontrol-requeue")
    assert not cluster.has("scancel")


def test_a_secret_stands_in_no_file(recipe: Make) -> None:
    with pytest.raises(RecipeError) as caught:
        render(recipe("", "hub_token=hf_secret"), job())

    assert "HF_TOKEN" in caught.value.problems[0].hint


@pytest.mark.parametrize(
    "options",
    [
        {"partition": "a\nb"},
        {"directives": ("rm -rf x",)},
        {"nodes": 0},
        {"gpus_per_node": -1},
        {"grace_s": 0},
        {"time": "banana"},
    ],
)
def test_an_option_that_cannot_stand_there_is_refused(recipe: Make, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        render(recipe(), job(**options))


@pytest.mark.parametrize("time", ["90", "90:30", "12:00:00", "2-12", "2-12:30", "2-12:30:00", "UNLIMITED"])
def test_every_format_of_slurm_s_times_is_taken(recipe: Make, time: str) -> None:
    assert directives(render(recipe(), job(time=time)))["time"] == time


@settings(deadline=None, max_examples=40)
@given(st.lists(WORDS, max_size=6))
def test_words_come_back_from_a_bash_array_as_they_were(words: list[str]) -> None:
    script = f"words=(\n{command.array(words)}\n)\n" + "printf '%s\\0' \"${words[@]}\"\n"

    done = subprocess.run(["bash"], input=script.encode(), capture_output=True, check=True)

    assert done.stdout.decode().split("\0")[:-1] == (words or [""])


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=20))
def test_a_value_comes_back_from_a_directive_as_it_was(value: str) -> None:
    assert shlex.split(f"--partition={directive(value)}", comments=True) == [f"--partition={value}"]
