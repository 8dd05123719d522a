from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from align_cli.errors import PluginError
from align_cli.recipe import fields as module
from align_cli.recipe.fields import Field, fields_of, group_of, groups
from tests.recipe.conftest import task

PACKAGE = '''
from dataclasses import dataclass, field
from typing import ClassVar, Literal
from enum import Enum
from .base import Base

class Colour(Enum):
    RED = "red"
    BLUE = "blue"

def when():
    return 3

@dataclass
class Config(Base):
    """A config.

    Args:
        plain (`int`):
            From the docstring,
            over two lines.
    """

    known: ClassVar[int] = 3
    plain: int = 5
    "not this one"
    below: str = "x"
    """From below."""
    helped: list[str] = field(default_factory=lambda: ["a"], metadata={"help": "100%% sure", "choices": ["a", "b"]})
    colour: Colour | str = "red"
    side: Literal["left", "right"] = "left"
    made: int = when()
    inherited: float = 2.0
    hidden: int = field(default=0, init=False)
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "plugin_for_fields"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (folder / "config.py").write_text(PACKAGE)
    (folder / "base.py").write_text(
        "from dataclasses import dataclass\n@dataclass\nclass Base:\n"
        "    inherited: float = 1.0\n    base: bool = False\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def read() -> dict[str, Field]:
    return fields_of(("plugin_for_fields.config:Config",))


@pytest.mark.usefixtures("package")
def test_fields_are_read_without_importing_the_package() -> None:
    found = read()

    assert list(found) == ["inherited", "base", "plain", "below", "helped", "colour", "side", "made"]
    assert found["inherited"].default == 2.0
    assert found["helped"] == Field(
        "helped", "list[str]", ["a"], True, "100% sure", ("a", "b"), "plugin_for_fields.config:Config", "other"
    )
    assert found["base"].owner == "plugin_for_fields.base:Base"


@pytest.mark.usefixtures("package")
def test_help_comes_from_metadata_then_docstring_then_the_string_below() -> None:
    found = read()

    assert found["plain"].help == "From the docstring, over two lines."
    assert found["below"].help == "From below."


@pytest.mark.usefixtures("package")
def test_choices_come_from_enums_and_literals_and_a_computed_default_is_not_static() -> None:
    found = read()

    assert found["colour"].choices == ("red", "blue")
    assert found["side"].choices == ("left", "right")
    assert not found["made"].static


@pytest.mark.usefixtures("package")
def test_fields_that_mean_nothing_to_a_task_are_left_out() -> None:
    found = fields_of(("plugin_for_fields.config:Config without base made side",))

    assert list(found) == ["inherited", "plain", "below", "helped", "colour"]


@pytest.mark.usefixtures("package")
def test_leaving_out_what_is_not_there_is_a_mistake() -> None:
    with pytest.raises(PluginError, match="Config has no field bass to leave out"):
        fields_of(("plugin_for_fields.config:Config without bass",))


def test_a_module_of_one_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "single_file_for_fields.py").write_text("class Config:\n    plain: int = 5\nraise RuntimeError\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert fields_of(("single_file_for_fields:Config",))["plain"].default == 5


def test_source_that_is_no_python_is_said_with_its_place(package: Path) -> None:
    (package / "config.py").write_text("class Config:\n    plain: int = (\n")

    with pytest.raises(PluginError, match=r"config\.py:2: this is no Python that can be read"):
        read()


def test_a_changed_file_is_read_again(package: Path) -> None:
    assert read()["plain"].default == 5

    (package / "config.py").write_text(PACKAGE.replace("plain: int = 5", "plain: int = 66"))

    assert read()["plain"].default == 66


@pytest.mark.usefixtures("package")
def test_the_cache_gives_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    first = read()
    monkeypatch.setattr("align_cli.recipe.source.Reader.fields", None)

    assert read() == first


@pytest.mark.usefixtures("package")
def test_a_spoilt_cache_file_is_no_obstacle() -> None:
    first = read()
    for path in (module.files.cache_root() / "fields").glob("*.json"):
        path.write_text("{")

    assert read() == first


def test_a_package_that_is_absent_is_named() -> None:
    with pytest.raises(PluginError, match="no_such_package"):
        fields_of(("no_such_package.config:Config",))


def test_a_class_that_is_absent_is_named() -> None:
    with pytest.raises(PluginError, match="SFTConfug"):
        fields_of(("trl.trainer.sft_config:SFTConfug",))


def test_every_field_of_the_built_in_tasks_has_help_and_a_heading() -> None:
    seen = 0
    for name in ("sft", "dpo", "orpo"):
        for field in fields_of(task(name).configs).values():
            assert field.help, field.name
            assert field.group in groups()[:-1], field.name
            seen += 1
    assert seen > 400


def test_our_own_fields_are_documented_from_the_string_below() -> None:
    assert fields_of(task().configs)["max_train_samples"].help.startswith("Train on at most")


def test_groups() -> None:
    assert group_of("lora_r") == "LoRA"
    assert group_of("learning_rate") == "optimiser"
    assert group_of("no_such_key") == "other"


def test_reading_fields_imports_nothing_heavy() -> None:
    code = (
        "import sys; from align_cli.recipe.fields import fields_of;"
        "fields_of(('trl.trainer.sft_config:SFTConfig',));"
        "print([m for m in ('torch','transformers','trl','datasets','omegaconf') if m in sys.modules])"
    )

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"
