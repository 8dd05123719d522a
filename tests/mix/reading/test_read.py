from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import DataError
from align_cli.mix.reading import read
from align_cli.mix.sources.formats import file_at

GOOD = '{"text": "é"}\n'


def rows(path: Path, **options: Any) -> list[Any]:
    return [record.row for record in read.rows(file_at(path), **options)]


def problem(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        rows(path)
    assert caught.value.exit_code == 3
    return str(caught.value.problems[0])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "é"}\n\n{"text": "b"}\n'),
        ("a.ndjson", '{"text": "é"}\n{"text": "b"}'),
        ("a.json", '[{"text": "é"},\n {"text": "b"}]'),
        ("b.json", '{"data": [{"text": "é"}, {"text": "b"}]}'),
        ("c.json", '{"text": "é"}\n{"text": "b"}\n'),
        ("d.json", '{"id1": {"text": "é"}, "id2": {"text": "b"}}'),
        ("list.jsonl", '[{"text": "é"}, {"text": "b"}]'),
        ("a.csv", "text\né\nb\n"),
        ("a.tsv", "text\né\nb\n"),
        ("a.txt", "é\nb\n"),
    ],
)
@pytest.mark.parametrize("windows", [False, True])
def test_every_text_format_reads_with_gzip_a_byte_order_mark_and_crlf(
    tmp_path: Path, name: str, content: str, packed: bool, windows: bool
) -> None:
    data = content.encode()
    if windows:
        data = b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(data) if packed else data)

    assert rows(path) == [{"text": "é"}, {"text": "b"}]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "file.arrow"])
def test_columnar_formats_read_packed_and_not(tmp_path: Path, name: str, packed: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = [{"messages": [{"role": "user", "content": str(number)}]} for number in range(1203)]
    table = pa.Table.from_pylist(expected)
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(table, path, row_group_size=500)
    else:
        new = pa.ipc.new_file if name.startswith("file") else pa.ipc.new_stream
        with new(str(path), table.schema) as writer:
            writer.write_table(table)
    if packed:
        packed_path = tmp_path / (name + ".gz")
        packed_path.write_bytes(gzip.compress(path.read_bytes()))
        path = packed_path

    assert rows(path) == expected


def test_a_text_file_is_lines_paragraphs_or_one_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a\nb\n\n\nc\n")

    assert [row["text"] for row in rows(path)] == ["a", "b", "", "", "c"]
    assert [row["text"] for row in rows(path, text_unit="paragraphs")] == ["a\nb", "c"]
    assert [row["text"] for row in rows(path, text_unit="documents")] == ["a\nb\n\n\nc\n"]


def test_cells_that_span_lines_are_placed_at_their_first_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n"1\n2",x\n3\n')

    records = list(read.rows(file_at(path)))

    assert [(record.place, bool(record.fault)) for record in records] == [(2, False), (4, True)]
    assert records[1].fault == "1 fields, but the header names 2"


def test_tabs_in_a_csv_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\tb\n1\t2\n")

    assert rows(path) == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt", "a.parquet", "a.arrow", "a.jsonl.gz"])
def test_an_empty_file_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")

    said = problem(tmp_path / name)

    assert name in said
    assert "empty" in said or "not a readable" in said


def test_a_file_of_blank_lines_holds_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n\n")

    assert "holds no rows" in problem(tmp_path / "a.jsonl")


def test_truncated_gzip_says_so(tmp_path: Path) -> None:
    data = gzip.compress((GOOD * 1000).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(data[:-20])

    assert "truncated" in problem(tmp_path / "a.jsonl.gz")


def test_damaged_gzip_says_so(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(b"".join(b'{"text": "%d"}\n' % number for number in range(9000))))
    data[500:510] = b"\xff" * 10
    (tmp_path / "a.jsonl.gz").write_bytes(bytes(data))

    assert "damaged" in problem(tmp_path / "a.jsonl.gz")


def test_a_gz_name_without_gzip_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_text(GOOD)

    assert "rename it without .gz" in problem(tmp_path / "a.jsonl.gz")


def test_utf16_names_the_command_that_mends_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD.encode("utf-16"))

    assert "iconv -f UTF-16" in problem(tmp_path / "a.jsonl")


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_latin1_is_placed_by_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes("text\nok\né\n".encode("latin-1"))

    said = problem(tmp_path / name)

    assert f"{name}:3: not UTF-8 text (byte 0xe9 at column 1)" in said
    assert "iconv" in said


def test_one_bad_line_of_jsonl_is_a_fault_of_that_row_alone(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        GOOD.encode() + b'{"text": \n' + '{"text": "é"}\n'.encode("latin-1") + GOOD.encode()
    )

    records = list(read.rows(file_at(tmp_path / "a.jsonl")))

    assert [record.place for record in records if record.fault] == [2, 3]
    assert records[1].fault.startswith("not JSON: expecting value at column")
    assert records[2].fault.startswith("not UTF-8 text (byte 0xe9")
    assert records[3].row == {"text": "é"}


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        ('[{"text": "a"},\n\n{bad}]', 3, "expecting property name"),
        ('[{"text": "a"},\n{"text": "b"}', 2, "ends inside the list"),
        ('[{"text": "a"}\n{"text": "b"}]', 2, "comma"),
        ('[\n{"text": "a"},\n]', 3, "comma before ]"),
    ],
)
def test_broken_json_is_placed_by_line(tmp_path: Path, content: str, place: int, words: str) -> None:
    (tmp_path / "a.json").write_text(content)

    said = problem(tmp_path / "a.json")

    assert said.startswith(f"a.json:{place}: not JSON")
    assert words in said


@pytest.mark.parametrize("content", ["3", '{"a":\n1}', '"text"'])
def test_json_without_rows_says_what_was_expected(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)

    assert "list of rows" in problem(tmp_path / "a.json")


def test_a_json_list_longer_than_the_window_reads_whole_with_right_lines(tmp_path: Path) -> None:
    expected = [{"text": "x" * (number % 7 * 100_000), "number": number} for number in range(50)]
    path = tmp_path / "a.json"
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in expected) + "\n]")

    records = list(read.rows(file_at(path)))

    assert [record.row for record in records] == expected
    assert [record.place for record in records] == list(range(2, 52))


def test_a_column_named_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,a\n1,2,3\n")

    assert 'a.csv:1: the column "a" is named twice' in problem(tmp_path / "a.csv")


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(GOOD * 3)
    reading = read.rows(file_at(path))
    next(reading)
    with path.open("a") as file:
        file.write(GOOD)

    with pytest.raises(DataError) as caught:
        list(reading)

    assert "changed while it was read" in str(caught.value.problems[0])


def test_rows_nested_too_deeply_are_faults_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD + '{"a":' * 100_000 + "\n")

    assert [bool(record.fault) for record in read.rows(file_at(tmp_path / "a.jsonl"))] == [False, True]
