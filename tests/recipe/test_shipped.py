from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import RecipeError
from align_cli.recipe import shipped
from align_cli.recipe.load import load
from tests.recipe.conftest import LEAST, task


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "configs"
    (folder / "recipes" / "m" / "sft").mkdir(parents=True)
    (folder / "recipes" / "m" / "sft" / "base.yaml").write_text(LEAST + "seed: 3\n")
    (folder / "data").mkdir()
    (folder / "data" / "x.jsonl").write_text("{}")
    monkeypatch.setattr(shipped, "root", lambda: folder)
    return folder


def test_the_shipped_folder_exists() -> None:
    assert shipped.root().is_dir()


def test_recipes_are_named_by_model_task_and_variant(configs: Path) -> None:
    assert shipped.names() == ["m/sft/base"]
    assert (
        shipped.find("m/sft/base") == shipped.find("m/sft/base.yaml") == configs / "recipes" / "m" / "sft" / "base.yaml"
    )
    assert shipped.find("m/sft/other") is None
    assert shipped.find("../recipes/m/sft/base") is None


def test_a_file_of_a_shipped_recipe_is_shown_by_its_name(configs: Path, tmp_path: Path) -> None:
    (configs / "recipes" / "m" / "sft" / "more.yaml").write_text("extends: base.yaml\nlearning_rate: 1e-3\n")

    loaded = load(["m/sft/more"], task())

    assert str(loaded.origins["seed"]) == "m/sft/base:5"
    assert shipped.name_of(tmp_path / "base.yaml") is None


@pytest.mark.usefixtures("configs")
def test_a_shipped_name_can_be_loaded_and_extended(here: Path) -> None:
    (here / "mine.yaml").write_text("extends: m/sft/base\nlearning_rate: 1e-3\n")

    assert load(["m/sft/base"], task()).values["seed"] == 3
    assert load(["mine.yaml"], task()).values["seed"] == 3


@pytest.mark.usefixtures("configs")
def test_a_near_name_is_suggested(here: Path) -> None:
    with pytest.raises(RecipeError, match="there is no recipe m/sft/bse") as caught:
        load(["m/sft/bse"], task())

    assert "m/sft/base" in caught.value.hint


def test_shipped_data_have_a_path(configs: Path) -> None:
    assert shipped.resolve("shipped://data/x.jsonl") == str((configs / "data" / "x.jsonl").resolve())
    assert shipped.resolve("data/x.jsonl") == "data/x.jsonl"


@pytest.mark.usefixtures("configs")
def test_a_shipped_path_cannot_leave_the_folder() -> None:
    with pytest.raises(RecipeError):
        shipped.resolve("shipped://../../etc/passwd")
