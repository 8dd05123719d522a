"""Recipes of the Alignment Handbook, of every era, run unchanged: no model, no network, no GPU."""

from __future__ import annotations

import json
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from align_cli import registry
from align_cli.cli import app
from align_cli.recipe import renames
from align_cli.recipe.fields import fields_of
from align_cli.recipe.load import load
from align_cli.recipe.migrate import migrate
from align_cli.recipe.schema import Recipe
from align_cli.tasks.task import Task
from tests.contracts.handbook import ERAS, Written, branches, main_line

MAIN_LINE = main_line()
WRITTEN = [
    *(pytest.param(old.of(era), id=f"{era}-{old.path}") for old in MAIN_LINE for era in old.eras),
    *(pytest.param(written, id=f"branch-{written.path}") for written in branches()),
]
#: Those whose folder names their task, as all of the main line do.
IN_FOLDERS = [item for item in WRITTEN if item.id != "branch-config_full.yaml"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all: upstream's fields are read from its source once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def alone(cache: None, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder and no network."""
    monkeypatch.setenv("ALIGN_CACHE", str(shared))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def refuse(*words: Any) -> None:
        raise AssertionError(f"the network was asked: {words}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def task_of(written: Written) -> Task:
    task: Task = registry.get(registry.TASKS, written.task)
    return task


def save(text: str, path: str = "recipe.yaml") -> str:
    file = Path("recipes") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return str(file)


def old_words(written: Written) -> set[str]:
    """Its top-level words that are in the table of renames and no keys of today's trainer."""
    return set(written.tree) & set(renames.table()) - set(fields_of(task_of(written).configs))


def test_the_facts_cover_the_handbook() -> None:
    assert len(MAIN_LINE) == 32
    assert {era for old in MAIN_LINE for era in old.eras} == set(ERAS)
    assert len(WRITTEN) >= 80


@pytest.mark.parametrize("written", WRITTEN)
def test_an_old_recipe_loads_under_the_profile_of_its_era(written: Written) -> None:
    loaded = load([save(written.text)], task_of(written))

    assert loaded.profile == written.profile
    assert loaded.mixture.sources


@pytest.mark.parametrize("written", WRITTEN)
def test_every_old_key_has_one_note(written: Written) -> None:
    loaded = load([save(written.text)], task_of(written))

    said = Counter(note.key for note in loaded.notes)
    assert {word: said[word] for word in old_words(written)} == dict.fromkeys(old_words(written), 1)


@pytest.mark.parametrize("written", WRITTEN)
def test_an_old_recipe_can_be_planned_anywhere(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(written.text, written.path)

    code = app.run(["train", written.task, path, "--dry-run", "--json"])

    done = capsys.readouterr()
    assert (code, done.err) == (0, "")
    assert json.loads(done.out)["recipe"]["profile"] == written.profile


@pytest.mark.parametrize(
    "written", [item for item in WRITTEN if "/" in item.id.partition("branch-")[2] or item.id[0] == "2"]
)
def test_path_and_keys_tell_the_task_of_an_old_recipe(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(written.text, written.path)

    code = app.run(["recipe", "show", path, "--json"])

    assert (code, json.loads(capsys.readouterr().out)["task"]) == (0, written.task)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_migrated_recipe_resolves_to_the_same(written: Written) -> None:
    task = task_of(written)
    before = load([save(written.text)], task)

    text, _ = migrate(written.text, task)
    after = load([save(text)], task)

    assert resolved(after) == resolved(before)
    assert not {note.key for note in after.notes} & old_words(written)


def resolved(recipe: Recipe) -> dict[str, Any]:
    parts = ("values", "mixture", "behaviours", "env", "profile", "launch")
    return {part: getattr(recipe, part) for part in parts}


def test_an_empty_recipe_of_the_handbook_s_is_an_error_and_no_crash(capsys: pytest.CaptureFixture[str]) -> None:
    path = save("", "dpo-vs-ipo-vs-kto/dpo/config_lora.yaml")

    assert app.run(["train", "dpo", path, "--dry-run"]) == 2
    assert "the recipe is empty" in capsys.readouterr().err
