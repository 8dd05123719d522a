from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import DataError
from align_cli.mix.sources.locate import is_hub_id, locate
from align_cli.recipe.schema import Source


def names(source: Source) -> list[str]:
    return [file.path.name for part in locate(source).parts for file in part.files]


def problem(**source: Any) -> str:
    with pytest.raises(DataError) as caught:
        locate(Source(**source))
    assert caught.value.exit_code == 3
    return str(caught.value.problems[0])


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"text": "a"}\n')


def test_a_folder_that_exists_is_local_even_when_it_reads_as_a_hub_id(tmp_path: Path) -> None:
    touch(tmp_path / "owner/name/a.jsonl")

    assert locate(Source(path="owner/name")).kind == "folder"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("owner/name", True),
        ("squad", True),
        ("data/x.jsonl", False),
        ("x.json.gz", False),
        ("./owner/name", False),
        ("/owner/name", False),
        ("a/b/c", False),
    ],
)
def test_what_reads_as_a_hub_id(path: str, expected: bool) -> None:
    assert is_hub_id(path) is expected


def test_a_missing_file_suggests_near_names(tmp_path: Path) -> None:
    touch(tmp_path / "train.jsonl")

    assert "did you mean train.jsonl?" in problem(path="trian.jsonl")


def test_a_missing_folder_says_where_relative_paths_start(tmp_path: Path) -> None:
    assert str(tmp_path) in problem(path="no/such/place.jsonl")


def test_a_folder_of_two_splits_is_its_train_split(tmp_path: Path) -> None:
    for name in ("train.jsonl", "test.jsonl", "README.md"):
        touch(tmp_path / "d" / name)

    assert names(Source(path="d")) == ["train.jsonl"]
    assert names(Source(path="d", split="test")) == ["test.jsonl"]
    assert names(Source(path="d", split="test+train")) == ["test.jsonl", "train.jsonl"]
    assert "not test" in locate(Source(path="d")).notes[0]


def test_a_split_that_does_not_exist_lists_those_that_do(tmp_path: Path) -> None:
    for name in ("train.jsonl", "test.jsonl"):
        touch(tmp_path / "d" / name)

    said = problem(path="d", split="validation")

    assert 'no split "validation"' in said
    assert "test, train" in said


def test_a_folder_without_splits_is_all_of_its_files_and_beside_data_nothing(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "deep/c.jsonl", ".hidden/d.jsonl", "dataset_info.json", "LICENSE.txt"):
        touch(tmp_path / "d" / name)

    assert names(Source(path="d")) == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert names(Source(path="d", split="train")) == ["a.jsonl", "b.jsonl", "c.jsonl"]


def test_a_folder_of_mixed_formats_asks_for_one(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl", "c.csv"):
        touch(tmp_path / "d" / name)

    said = problem(path="d")

    assert "2 jsonl" in said
    assert '"d/**/*.jsonl*"' in said
    assert names(Source(path="d/**/*.jsonl*")) == ["a.jsonl", "b.jsonl"]


def test_a_folder_without_data_lists_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path / "d/model.safetensors")

    assert "model.safetensors" in problem(path="d")


def test_a_glob_that_matches_nothing_says_so() -> None:
    assert 'no file matches "*.jsonl"' in problem(path="*.jsonl")


def test_data_files_of_a_file_loader_are_local_files(tmp_path: Path) -> None:
    touch(tmp_path / "rows.jsonl")

    assert names(Source(path="json", data_files=("rows.jsonl",))) == ["rows.jsonl"]


def test_a_single_file_is_the_split_train_and_no_other(tmp_path: Path) -> None:
    touch(tmp_path / "rows.jsonl")
    touch(tmp_path / "test.jsonl")

    assert names(Source(path="rows.jsonl", split="train[:1]")) == ["rows.jsonl"]
    assert names(Source(path="test.jsonl", split="test")) == ["test.jsonl"]
    assert "it has train" in problem(path="rows.jsonl", split="test")


def test_a_file_in_an_installed_package_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "rows_in_here/data/a.jsonl")
    (tmp_path / "rows_in_here/__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert names(Source(path="pkg://rows_in_here/data/a.jsonl")) == ["a.jsonl"]
    assert "rows_in_here" not in sys.modules
    assert "holds no file" in problem(path="pkg://rows_in_here/none.jsonl")
    assert "not installed" in problem(path="pkg://no_such_package/a.jsonl")
    assert "names no file" in problem(path="pkg://rows_in_here/../a.jsonl")


def test_a_saved_data_set_is_read_by_its_own_list_of_files(tmp_path: Path) -> None:
    (tmp_path / "d/train").mkdir(parents=True)
    (tmp_path / "d/test").mkdir()
    (tmp_path / "d/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for split in ("train", "test"):
        (tmp_path / "d" / split / "state.json").write_text('{"_data_files": [{"filename": "data-0.arrow"}]}')
        touch(tmp_path / "d" / split / "data-0.arrow")

    located = locate(Source(path="d", split="test"))

    assert located.kind == "saved"
    assert located.parts[0].files[0].path == Path("d/test/data-0.arrow")


def test_a_name_that_tells_no_format_is_an_error_that_lists_the_formats(tmp_path: Path) -> None:
    (tmp_path / "rows.weird").write_text("hello")

    assert ".jsonl" in problem(path="rows.weird")


def test_rows_chosen_by_an_old_indices_file_are_not_read_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    state = '{"_data_files": [{"filename": "data.arrow"}], "_indices_files": [{"filename": "indices.arrow"}]}'
    (tmp_path / "d/state.json").write_text(state)

    assert "flatten_indices" in problem(path="d")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"split": "train[:10%]", "rows": 5}, "train[:1000]"),
        ({"split": "train[-5:]", "rows": 5}, "train[:1000]"),
    ],
)
def test_a_stream_has_no_known_end(source: dict[str, Any], words: str) -> None:
    assert words in problem(path="owner/name", streaming=True, **source)
    assert locate(Source(path="owner/name", streaming=True, rows=5, split="train[5:90]")).kind == "hub"
