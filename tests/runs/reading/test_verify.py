from __future__ import annotations

import pytest

from align_cli.runs.reading import verify
from align_cli.runs.reading.record import Record
from tests.runs import folders


@pytest.fixture
def run(tmp_path):
    return folders.finished(tmp_path / "a")


def wrong(run):
    return {one.name: one.verdict for one in verify.check(Record(run)) if not one.is_right}


def test_a_run_as_training_left_it_is_right(run):
    assert wrong(run) == {}
    assert [one.name for one in verify.check(Record(run))] == [
        "README.md",
        "config.json",
        "model.safetensors",
        "align/recipe.json",
    ]


def test_one_changed_byte_of_the_same_size_is_found(run):
    content = bytearray((run / "model.safetensors").read_bytes())
    content[0] ^= 1
    (run / "model.safetensors").write_bytes(content)

    assert wrong(run) == {"model.safetensors": "changed"}


def test_another_size_a_missing_file_and_a_changed_recipe_are_found(run):
    (run / "model.safetensors").write_bytes(b"short")
    (run / "config.json").unlink()
    (run / "align" / "recipe.json").chmod(0o644)
    (run / "align" / "recipe.json").write_text("{}")

    assert wrong(run) == {"model.safetensors": "changed", "config.json": "missing", "align/recipe.json": "changed"}


def test_a_file_that_came_later_is_named_and_not_wrong(run):
    (run / "model.gguf").write_text("later")

    assert verify.Checked("model.gguf", "new", "came after the run had finished") in verify.check(Record(run))
    assert wrong(run) == {}


def test_a_folder_in_the_place_of_a_file_is_unreadable_rather_than_a_crash(run):
    size = (run / "config.json").stat().st_size
    (run / "config.json").unlink()
    (run / "config.json").mkdir()

    assert wrong(run)["config.json"] in ("changed", "unreadable")
    assert size == 2
