"""A SkyPilot task: right by our own check, and by SkyPilot's where it is installed; its commands do what they say."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from align_cli.errors import UsageError
from align_cli.launch.cluster.sky import SkyTask, parse_accelerators, render
from align_cli.recipe.schema import Recipe
from tests.launch.cluster.conftest import Cluster

Make = Callable[..., Recipe]


def task(**words: Any) -> SkyTask:
    least: dict[str, Any] = {"name": "a-task", "nodes": 2, "accelerators": "H100:8", "workdir": "."}
    return SkyTask(**{**least, **words})


TASKS: dict[str, dict[str, Any]] = {
    "least": {},
    "cpus": {"accelerators": None, "nodes": 1},
    "store": {"store": "s3://my-bucket", "spot": True},
    "named store": {"store": "my-bucket", "secrets": ("HF_TOKEN",), "setup": ("pip install x", "echo 'it'")},
    "infra": {"infra": "aws/us-east-1", "disk_size": 500},
}

#: Field of a task -> its type, by SkyPilot's YAML specification.
SPECIFICATION: dict[str, type] = {
    "name": str, "num_nodes": int, "resources": dict, "workdir": str, "secrets": dict, "file_mounts": dict,
    "setup": str, "run": str,
}  # fmt: skip
RESOURCES: dict[str, type] = {"infra": str, "accelerators": str, "use_spot": bool, "disk_size": int}


@pytest.mark.parametrize("words", TASKS.values(), ids=TASKS)
def test_a_task_holds_what_the_specification_knows(recipe: Make, words: dict[str, Any]) -> None:
    document = yaml.safe_load(render(recipe(), task(**words)))

    assert {key: type(value) for key, value in document.items()}.items() <= SPECIFICATION.items()
    assert {key: type(value) for key, value in document["resources"].items()}.items() <= RESOURCES.items()


@pytest.mark.skipif(find_spec("sky") is None, reason="needs the package skypilot (0.14.1 was tried)")
@pytest.mark.parametrize("words", TASKS.values(), ids=TASKS)
def test_skypilot_takes_the_task(recipe: Make, words: dict[str, Any]) -> None:
    import sky

    document = yaml.safe_load(render(recipe(), task(**words)))

    made = sky.Task.from_yaml_config(document, secrets_overrides=[("HF_TOKEN", "x")])

    assert made.num_nodes == words.get("nodes", 2)


@pytest.mark.parametrize("words", TASKS.values(), ids=TASKS)
def test_bash_can_read_what_is_run(recipe: Make, words: dict[str, Any]) -> None:
    document = yaml.safe_load(render(recipe("", "output_dir=runs/it's $HOME"), task(**words)))

    for name in ("setup", "run"):
        done = subprocess.run(["bash", "-n"], input=document[name], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_each_machine_trains_with_its_rank_and_the_first_one_s_address(recipe: Make, cluster: Cluster) -> None:
    loaded = recipe("", 'output_dir=runs/it\'s "here" $HOME')

    script = yaml.safe_load(render(loaded, task()))["run"]
    code, _ = cluster.run(
        script,
        SKYPILOT_NODE_IPS="10.0.0.1\n10.0.0.2",
        SKYPILOT_NUM_NODES="2",
        SKYPILOT_NODE_RANK="1",
        SLURM_NODEID="sky",
    )

    assert code == 0
    assert cluster.words("align-sky")[1:] == [
        *("train", "sft", "my recipe.yaml", 'output_dir=runs/it\'s "here" $HOME'),
        *("launch.num_machines=2", "launch.num_processes=16"),
        *("launch.machine_rank=1", "launch.main_process_ip=10.0.0.1"),
    ]


def test_a_store_takes_the_output(recipe: Make) -> None:
    run = yaml.safe_load(render(recipe("output_dir: runs/mine\n"), task(store="b")))["run"]

    assert "output_dir=/outputs/mine" in run


def test_the_recipe_is_where_the_machines_have_it(recipe: Make, tmp_path: Path) -> None:
    loaded = recipe()
    (tmp_path / "other").mkdir()

    inside = render(loaded, task(workdir=str(tmp_path)))

    assert "'my work/my recipe.yaml'" in inside
    with pytest.raises(UsageError, match="is outside"):
        render(loaded, task(workdir=str(tmp_path / "other")))


def test_deepspeed_is_installed_where_it_is_needed(recipe: Make) -> None:
    assert "align-cli[deepspeed]==" in render(recipe("launch: {strategy: zero2}\n"), task())
    assert "align-cli==" in render(recipe(), task())


@pytest.mark.parametrize(("text", "found"), [("H100:4", "H100:4"), ("A100-80GB", "A100-80GB:8")])
def test_the_number_of_gpus_may_be_the_recipe_s(recipe: Make, text: str, found: str) -> None:
    assert parse_accelerators(text, recipe("launch: {preset: 8xgpu-ddp}\n")) == found


@pytest.mark.parametrize("text", ["H100", "H100:x", "H100:0", ":8"])
def test_gpus_without_a_number_or_a_name_are_refused(recipe: Make, text: str) -> None:
    with pytest.raises(UsageError):
        parse_accelerators(text, recipe())
