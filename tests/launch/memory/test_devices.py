"""Machines by name."""

from __future__ import annotations

import pytest

from align_cli.errors import UsageError
from align_cli.launch.host import Host
from align_cli.launch.memory import devices


@pytest.mark.parametrize(
    ("text", "machines", "gpus", "name"),
    [
        ("8xH100-80GB", 1, 8, "H100-80GB"),
        ("1xRTX4090", 1, 1, "RTX4090-24GB"),
        ("2x8xh100-80gb", 2, 8, "H100-80GB"),
        ("T4", 1, 1, "T4-16GB"),
    ],
)
def test_a_machine_is_what_its_name_says(text: str, machines: int, gpus: int, name: str, laptop: Host) -> None:
    found = devices.named(text, laptop)

    assert (found.machines, len(found.host.gpus), found.host.gpus[0].name) == (machines, gpus, name)
    assert found.host.device == "cuda"


def test_a_name_that_nearly_matches_is_suggested(laptop: Host) -> None:
    with pytest.raises(UsageError) as caught:
        devices.named("8xH10-80GB", laptop)

    assert "H100-80GB" in caught.value.hint


def test_a_kind_with_several_sizes_asks_which(laptop: Host) -> None:
    with pytest.raises(UsageError, match="several") as caught:
        devices.named("4xA100", laptop)

    assert "A100-40GB" in caught.value.hint


@pytest.mark.parametrize("text", ["", "0xH100-80GB", "8x", "x", "2x2x2xH100-80GB"])
def test_another_form_is_refused(text: str, laptop: Host) -> None:
    with pytest.raises(UsageError):
        devices.named(text, laptop)


def test_every_device_has_memory_and_capability(laptop: Host) -> None:
    names = devices.names()

    assert len(names) > 15
    for name in names:
        gpu = devices.named(name, laptop).host.gpus[0]
        assert gpu.memory_bytes > 8e9
        assert gpu.capability >= (7, 0)
