from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from align_cli.errors import LaunchError, UsageError
from align_cli.models.finding import places
from align_cli.models.locate import chain, check, locate, locate_tokenizer
from tests.models.tiny import tiny_model


def test_a_model_folder_is_itself(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "m")

    assert check(str(folder)) is None
    assert locate(str(folder)) == folder


def test_a_folder_without_config_lists_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").touch()
    (tmp_path / "sub").mkdir()

    with pytest.raises(UsageError, match=r"has no config\.json; it holds sub/, weights\.bin"):
        locate(str(tmp_path))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c", "model.gguf", "two words"])
def test_what_can_only_be_a_path_must_exist(name: str) -> None:
    problem = check(name)

    assert problem is not None
    assert "no such folder or file" in problem.message


def test_a_hub_id_is_left_to_the_run() -> None:
    assert check("HuggingFaceTB/SmolLM2-135M-Instruct") is None


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "m.gguf"
    fake.write_bytes(b"<html>")

    problem = check(str(fake))

    assert problem is not None
    assert "GGUF" in problem.message


def test_a_package_is_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_models"
    tiny_model(package / "small")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert locate("pkg://some_models/small") == package / "small"
    assert "some_models" not in sys.modules
    problem = check("pkg://some_models/large.gguf")
    assert problem is not None
    assert 'has no file "large.gguf"' in problem.message


def test_a_package_that_is_not_installed_says_how_to_get_it() -> None:
    problem = check("pkg://no_such_models/x.gguf")

    assert problem is not None
    assert problem.hint == "pip install --no-deps no-such-models"


def test_a_package_path_cannot_leave_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_models").mkdir()
    (tmp_path / "some_models" / "__init__.py").touch()
    tiny_model(tmp_path / "outside")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert check("pkg://some_models/../outside") is not None


def test_a_tokenizer_folder_needs_no_config(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "m")
    (folder / "config.json").unlink()

    assert locate_tokenizer(str(folder)) == folder


def test_a_hub_model_that_is_not_cached_cannot_be_had_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(LaunchError, match="not in the cache") as caught:
        locate("some-owner/some-model")

    assert "local folder" in caught.value.hint


def test_what_only_looks_converts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(100))

    with pytest.raises(UsageError, match=r"m\.gguf: this GGUF file is not converted yet"):
        chain(str(tmp_path / "m.gguf"), only_here=True)

    assert not (tmp_path / "cache" / "models").exists()


def test_a_converted_folder_says_which_file_it_was_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "convert", lambda what, source, folder: tiny_model(folder))  # half a minute
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(100))

    folder = locate(str(tmp_path / "m.gguf"))

    assert json.loads((folder / "align" / "made_of.json").read_text()) == {"gguf": str(tmp_path / "m.gguf")}


@pytest.mark.slow
def test_a_damaged_gguf_file_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(100))

    with pytest.raises(LaunchError, match="cannot be read as a GGUF model"):
        locate(str(tmp_path / "m.gguf"))

    assert [
        item for item in (tmp_path / "cache" / "models").iterdir() if item.name[0] != "." and item.name != "digests"
    ] == []
