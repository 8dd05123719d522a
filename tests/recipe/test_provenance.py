from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import RecipeError
from align_cli.recipe.provenance import Place, dotted, leaves, parse, read


def test_every_key_has_its_line() -> None:
    document = parse("a: 1\n\nb:\n  - x: 2\n    y: 3\n", "r.yaml")

    assert document.tree == {"a": 1, "b": [{"x": 2, "y": 3}]}
    assert document.place(("a",)) == Place("r.yaml", 1)
    assert document.place(("b", 0, "y")) == Place("r.yaml", 5)
    assert str(document.place(("b", 0, "nowhere"))) == "r.yaml:4"


def test_plain_scalars_keep_their_text() -> None:
    document = parse("a: 007\nb: no\nc: '1'\nd: 2024-01-02\n", "r.yaml")

    assert document.tree == {"a": 7, "b": False, "c": "1", "d": "2024-01-02"}
    assert document.texts[("a",)] == "007"
    assert document.texts[("b",)] == "no"
    assert ("c",) not in document.texts


def test_anchors_and_merge_keys_work() -> None:
    document = parse("base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3\n", "r.yaml")

    assert document.tree["more"] == {"x": 1, "y": 3}
    assert not document.problems


def test_leaves_and_dotted() -> None:
    assert [(dotted(key), value) for key, value in leaves({"a": [{"b": 1}], "c": {}})] == [("a.0.b", 1), ("c", {})]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\n\tb: 2\n", 2, "a tab"),
        ("a:\n\t- 1\n", 2, "a tab"),
        ("a: 1\nb: 2\na: 3\n", 3, '"a" is given twice, first on line 1'),
        ("m:\n  a: 1\n  a: 2\n", 3, '"a" is given twice'),
        ("- 1\n- 2\n", 1, "this is a list"),
        ("\njust text\n", 2, "this is a single value"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("a: b: c\n", 1, "not YAML"),
        ("a: [1, 2\n", 2, "not YAML"),
        ("a: &x [*x]\n", 1, "contains itself"),
        ("? [a]\n: 1\n", 1, "a key must be a word"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, said: str) -> None:
    problems = parse(text, "r.yaml").problems

    assert [problem.where for problem in problems] == [f"r.yaml:{line}"]
    assert said in problems[0].message


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_an_empty_file_is_said_to_be_empty(text: str) -> None:
    assert "empty" in parse(text, "r.yaml").problems[0].message


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: |\r\n  x\r\n  y\r\n")

    document = read(tmp_path / "r.yaml")

    assert document.tree == {"a": 1, "b": "x\ny\n"}


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"a: 1\nb: caf\xe9\n", "r.yaml:2: not UTF-8 text"), ("a: 1".encode("utf-16"), "UTF-16")],
)
def test_another_encoding_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "r.yaml").write_bytes(data)

    with pytest.raises(RecipeError, match=said) as caught:
        read(tmp_path / "r.yaml", "r.yaml")

    assert "UTF-8" in caught.value.hint


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "config_full.yaml").write_text("a: 1")

    with pytest.raises(RecipeError) as caught:
        read(tmp_path / "confg_full.yaml")

    assert "config_full.yaml" in caught.value.hint


def test_a_directory_is_not_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1")

    with pytest.raises(RecipeError, match="is a directory") as caught:
        read(tmp_path)

    assert "a.yaml" in caught.value.hint
