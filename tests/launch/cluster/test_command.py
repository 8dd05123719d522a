"""Names of jobs, and files that bear our mark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from align_cli.errors import UsageError
from align_cli.launch.cluster import command, written
from align_cli.recipe.schema import Recipe

Make = Callable[..., Recipe]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("zephyr-7b-beta/sft/full", "zephyr-7b-beta-sft-full"),
        ("my recipe.yaml", "my-recipe"),
        ("2024.yaml", "align-2024"),
    ],
)
def test_a_job_is_named_for_its_recipe(recipe: Make, path: str, name: str) -> None:
    loaded = recipe()
    Path("2024.yaml").touch()

    assert command.name_of(replace(loaded, path=path)) == name


def test_a_recipe_on_cores_wants_no_gpu(recipe: Make) -> None:
    assert command.gpus_of(recipe("use_cpu: true\n")) == 0
    assert command.gpus_of(recipe("launch: {preset: 2x8gpu-zero3}\n")) == 8
    assert command.gpus_of(recipe()) is None


def test_a_file_of_ours_is_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "job.slurm"
    written.write(file, written.stamped("#!/bin/bash\necho 1\n"))

    written.write(file, written.stamped("#!/bin/bash\necho 2\n"))

    assert file.read_text().splitlines()[0::2] == ["#!/bin/bash", "echo 2"]


@pytest.mark.parametrize("text", ["#!/bin/bash\necho mine\n", "", "name: x\n"])
def test_a_file_of_others_stays(tmp_path: Path, text: str) -> None:
    file = tmp_path / "job.slurm"
    file.write_text(text)

    with pytest.raises(UsageError, match="was not written by align launch"):
        written.write(file, written.stamped("#!/bin/bash\n"))

    assert file.read_text() == text
    written.write(file, written.stamped("#!/bin/bash\n"), force=True)
    assert written.is_ours(file.read_text())


def test_an_edited_file_is_somebody_s_own(tmp_path: Path) -> None:
    for text in ("#!/bin/bash\necho 1\n", "name: x\nrun: y\n"):
        stamped = written.stamped(text)

        assert written.is_ours(stamped)
        assert not written.is_ours(stamped + "echo more\n")
        assert not written.is_ours(stamped.replace("1", "2").replace("y", "z"))
