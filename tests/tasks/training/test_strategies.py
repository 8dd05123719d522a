"""What a strategy and the recipe's own words for it become in the trainer's arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from align_cli.tasks.training import strategies
from tests.launch.conftest import make_recipe


def test_a_file_for_fsdp_is_read_as_its_mapping_would_be(tmp_path: Path):
    file = tmp_path / "fsdp.json"
    file.write_text(json.dumps({"reshard_after_forward": False}))

    found = strategies.values("fsdp", "none", make_recipe(fsdp_config=str(file)), None, print)

    assert found["fsdp_config"]["reshard_after_forward"] is False
    assert found["fsdp_config"]["version"] == 2


@pytest.mark.parametrize(("offload", "moved"), [("none", False), ("optimizer", True), ("all", True)])
def test_an_offload_that_was_asked_for_takes_place_with_fsdp(offload: str, moved: bool):
    found = strategies.values("fsdp", offload, make_recipe(), None, print)

    assert found["fsdp_config"]["cpu_offload"] is moved
