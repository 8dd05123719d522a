from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.recipe.paths import found


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder for recipes, beside one with data."""
    (tmp_path / "recipes" / "mine").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").touch()
    return tmp_path


@pytest.mark.parametrize("path", ["../data/rows.jsonl", "./../data/rows.jsonl", "../data/*.jsonl"])
def test_a_path_above_the_recipe_is_shown_without_dots(beside: Path, path: str) -> None:
    assert found(path, beside / "recipes") == str(beside / "data" / path.rpartition("/")[2])


def test_dots_behind_a_link_lead_where_the_system_leads(beside: Path) -> None:
    (beside / "elsewhere").mkdir()
    (beside / "elsewhere" / "link").symlink_to(beside / "recipes")

    place = found("../data/rows.jsonl", beside / "elsewhere" / "link")

    assert Path(place).samefile(beside / "data" / "rows.jsonl")
