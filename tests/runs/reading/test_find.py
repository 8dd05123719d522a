from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import UsageError
from align_cli.runs.reading import find
from tests.runs import folders


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "runs" / "cache"))
    return tmp_path


def test_runs_are_found_below_runs_and_below_the_working_directory(place):
    for name in ("runs/a", "runs/sweep/lr1/seed1", "out"):
        folders.prepared(Path(name))

    assert find.below().runs == [Path("runs/a"), Path("out"), Path("runs/sweep/lr1/seed1")]


def test_the_working_directory_may_be_a_run_itself(place, monkeypatch):
    folders.prepared(place / "a")
    monkeypatch.chdir(place / "a")

    assert find.below().runs == [Path()]


def test_checkpoints_caches_and_hidden_folders_are_not_looked_into(place):
    for name in ("runs/checkpoint-5/x", "runs/.hidden/x", "runs/cache/x", "runs/node_modules/x"):
        folders.prepared(Path(name))
    folders.prepared(Path("runs/a"))
    folders.prepared(Path("runs/a/inner"))

    assert find.below().runs == [Path("runs/a")]


def test_a_run_too_deep_is_found_only_where_somebody_points_at_it(place):
    folders.prepared(Path("1/2/3/4/5/run"))

    assert find.below().runs == []
    assert find.below([Path("1/2/3")]).runs == [Path("1/2/3/4/5/run")]


def test_links_are_followed_once_and_a_ring_of_them_ends(place):
    folders.prepared(place / "disk" / "a")
    (place / "runs").symlink_to(place / "disk")
    (place / "disk" / "again").symlink_to(place / "disk")

    assert find.below().runs == [Path("runs/a")]


def test_a_folder_that_another_tool_made_is_no_run(place):
    (place / "runs" / "other" / "align").mkdir(parents=True)
    (place / "runs" / "other" / "config.json").write_text("{}")

    assert find.below().runs == []


@pytest.mark.parametrize("name", ["runs/sweep/a", "runs/sweep/a/", "sweep/a", "a", "./runs/sweep/a"])
def test_a_run_goes_by_its_path_or_the_end_of_it(place, name):
    folders.prepared(Path("runs/sweep/a"))

    assert find.named(name).resolve() == (place / "runs/sweep/a").resolve()


def test_a_name_of_several_runs_is_not_guessed(place):
    folders.prepared(Path("runs/x/a"))
    folders.prepared(Path("runs/y/a"))

    with pytest.raises(UsageError, match=r'"a" is the name of 2 runs: runs/x/a, runs/y/a'):
        find.named("a")


def test_a_misspelt_name_is_suggested(place):
    folders.prepared(Path("runs/zephyr-dpo"))

    with pytest.raises(UsageError, match='there is no run "zephyr-dop"') as caught:
        find.named("zephyr-dop")

    assert "zephyr-dpo" in caught.value.hint


def test_a_folder_without_a_run_says_what_it_lacks(place):
    (place / "model").mkdir()

    with pytest.raises(UsageError, match=r"model is a folder, but not a run: it has no align/plan\.json"):
        find.named("model")


def test_a_checkpoint_is_told_to_belong_to_its_run(place):
    folders.checkpoint(folders.prepared(Path("runs/a")), 5)

    with pytest.raises(UsageError, match="runs/a/checkpoint-5 is a part of the run runs/a"):
        find.named("runs/a/checkpoint-5")


def test_nothing_at_all_points_to_the_list(place):
    with pytest.raises(UsageError) as caught:
        find.named("a")

    assert caught.value.hint == "align runs ls lists the runs"
