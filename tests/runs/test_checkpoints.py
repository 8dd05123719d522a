from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import UsageError
from align_cli.runs import checkpoints


def saved(folder: Path, step: int, *, whole: bool = True) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    (checkpoint / "trainer_state.json").write_text("{}")
    if whole:
        checkpoints.seal(checkpoint, {"tokens": step})
    return checkpoint


def test_the_newest_whole_checkpoint_is_found_by_number_not_by_spelling(tmp_path: Path):
    saved(tmp_path, 5)
    newest = saved(tmp_path, 20)
    saved(tmp_path, 100, whole=False)

    assert checkpoints.last_whole(tmp_path) == newest
    assert checkpoints.state_in(newest) == {"tokens": 20}


def test_a_checkpoint_with_a_file_cut_short_is_not_whole(tmp_path: Path):
    checkpoint = saved(tmp_path, 5)

    (checkpoint / "model.safetensors").write_bytes(b"wei")

    assert not checkpoints.is_whole(checkpoint)
    assert checkpoints.last_whole(tmp_path) is None


def test_a_marker_that_is_cut_short_counts_as_none(tmp_path: Path):
    checkpoint = saved(tmp_path, 5)
    marker = checkpoint / checkpoints.MARKER

    marker.write_text(marker.read_text()[:10])

    assert not checkpoints.is_whole(checkpoint)


def test_torn_checkpoints_are_removed_and_whole_ones_stay(tmp_path: Path):
    whole = saved(tmp_path, 5)
    saved(tmp_path, 10, whole=False)

    gone = checkpoints.remove_torn(tmp_path)

    assert gone == ["checkpoint-10"]
    assert checkpoints.in_folder(tmp_path) == [whole]


def test_a_run_goes_on_by_itself_unless_told_not_to(tmp_path: Path, make_recipe):
    newest = saved(tmp_path, 5)

    assert checkpoints.to_start_from(tmp_path, make_recipe()) == newest
    assert checkpoints.to_start_from(tmp_path, make_recipe(resume_from_checkpoint=False)) is None


def test_a_named_checkpoint_is_used_until_the_run_has_a_newer_one(tmp_path: Path, make_recipe):
    elsewhere = saved(tmp_path / "elsewhere", 7, whole=False)
    recipe = make_recipe(resume_from_checkpoint=str(elsewhere))

    assert checkpoints.to_start_from(tmp_path / "out", recipe) == elsewhere
    own = saved(tmp_path / "out", 9)
    assert checkpoints.to_start_from(tmp_path / "out", recipe) == own


def test_true_accepts_a_checkpoint_that_another_tool_saved(tmp_path: Path, make_recipe):
    foreign = saved(tmp_path, 5, whole=False)

    assert checkpoints.to_start_from(tmp_path, make_recipe()) is None
    assert checkpoints.to_start_from(tmp_path, make_recipe(resume_from_checkpoint=True)) == foreign


def test_a_named_checkpoint_that_is_not_there_is_an_error(tmp_path: Path, make_recipe):
    with pytest.raises(UsageError, match="is not a checkpoint"):
        checkpoints.to_start_from(tmp_path, make_recipe(resume_from_checkpoint=str(tmp_path / "no")))
