"""Shipped launch blocks: every one is right, and a misspelt one is told what was meant."""

from __future__ import annotations

import pytest

from align_cli.errors import UsageError
from align_cli.launch import presets
from align_cli.recipe import blocks

NAMES = presets.names()


def test_the_walk_finds_the_presets() -> None:
    assert {"cpu-2", "8xgpu-ddp", "8xgpu-fsdp", "8xgpu-zero2", "8xgpu-zero3", "2x8gpu-zero3"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_a_launch_block_with_a_line_that_says_what_it_is(name: str) -> None:
    preset = presets.read(name)

    launch, problems, _ = blocks.launch(dict(preset.body), lambda key: "", ())

    assert problems == []
    assert len(preset.summary) > 20
    assert launch.strategy in name or launch.strategy == "ddp"
    assert (launch.offload != "none") == name.endswith("-offload")


@pytest.mark.parametrize("name", [name for name in NAMES if "gpu" in name])
def test_a_preset_s_name_says_how_many_processes_there_are(name: str) -> None:
    body = presets.read(name).body

    machines, _, each = name.partition("gpu")[0].partition("x")

    expected = (int(machines), int(machines) * int(each)) if each else (1, int(machines))
    assert (body.get("num_machines", 1), body["num_processes"]) == expected


def test_a_word_knows_its_place() -> None:
    preset = presets.read("8xgpu-zero3.yaml")

    assert preset.place("strategy") == "preset 8xgpu-zero3:2"


def test_an_unknown_preset_is_told_what_was_meant() -> None:
    with pytest.raises(UsageError, match='there is no preset "8xgpu-zero4"') as caught:
        presets.read("8xgpu-zero4")

    assert "8xgpu-zero3" in caught.value.hint
