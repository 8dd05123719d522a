"""Blocks of rows: the road in bulk and the exact road give the same, wherever a file is cut."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.errors import DataError
from align_cli.mix.layout import layouts, shapes
from align_cli.mix.reading import json_lines, mapped, vectors
from align_cli.mix.reading.row_by_row import RowByRow
from align_cli.mix.sources.formats import file_at
from align_cli.mix.sources.locate import locate
from align_cli.recipe.schema import Source
from tests.mix.conftest import ROWS, chat, chats

CHAT = [chat("q")]


def job(
    rows: list[dict[str, Any]], kinds: tuple[str, ...] = ROWS, shape: str = "", repair: bool = False, **source: Any
) -> mapped.Job:
    where = Source(path="x", **source)
    fit = layouts.recognise(rows, where, kinds)
    return mapped.Job(fit, shape or fit.shape, where, repair)


def everything(path: Path, work: mapped.Job, spans: list[mapped.Span] | None = None) -> dict[str, Any]:
    """All blocks of a file as plain values, whatever their sizes."""
    found: dict[str, Any] = {"rows": [], "index": [], "place": [], "bad": [], "records": 0, "lines": 0, "left": {}}
    found["repaired"] = Counter()
    for span in spans or [mapped.Span(file_at(path))]:
        first, line = found["records"], found["lines"]
        for block in mapped.read(span, work):
            block.batch.validate(full=True)
            found["rows"] += block.batch.to_pylist()
            found["index"] += (block.index + first).tolist()
            found["place"] += (block.place + line).tolist()
            found["bad"] += [(bad.index + first, bad.place + line, bad.reason, bad.hint) for bad in block.bad]
            found["records"] += block.num_records
            found["lines"] += block.num_lines
            found["repaired"] += block.repaired
            for why, indices in block.left_out.items():
                found["left"].setdefault(why, []).extend(index + first for index in indices)
    found["bad"].sort()
    return found


def one_by_one(path: Path, work: mapped.Job) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "bulk", lambda job: None)
        return everything(path, work)


def problem(path: Path, work: mapped.Job, target: int = 1 << 20) -> str:
    spans = mapped.spans(file_at(path), target)
    with pytest.raises(DataError) as caught:
        everything(path, work, spans)
    return str(caught.value.problems[0])


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


text = st.text(max_size=6) | st.sampled_from(["\u2028", "\u0000", "é" * 3, " ", "[1]", "2020-01-01", "NaN", "😀"])
role = st.sampled_from(["user", "assistant", "system", "tool", "human", "gpt", "function_call", None, 3])
turn = st.fixed_dictionaries(
    {"role": role, "content": text | st.none() | st.just([{"type": "text", "text": "part"}])},
    optional={"name": st.none() | text, "tool_calls": st.none() | st.just([{"function": {"name": "f"}}]), "id": text},
)
good = st.builds(chat, text, text)
messages = good | st.fixed_dictionaries(
    {"messages": st.lists(turn, max_size=4) | st.none() | text},
    optional={"tools": st.none() | st.just([{"name": "f"}]) | st.just("[]"), "score": st.integers() | text},
)
NASTY = [
    "", "  ", "\t", "\x0b", "{", "[1]", "null", "3", '"x"', '{"messages": []} {"messages": []}', "{}{}", "{}",
    "{} null {}",
    '{"messages": 1, "messages": []}', '{"id": 1, "id": 2, "messages": []}', '{"messages": NaN}', '{"messages": [], }',
    '{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", "content": "a"}]}',
    '{"messages": [{"role": "user", "role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}',
    '{"messages": [{"role": "user", "content": "a\tb"}, {"role": "assistant", "content": "c"}]}',
    '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "x": "\\udc00"}',
    '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "x": NaN}',
    '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "x": 1e400}',
    '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "x": 01}',
    '{"messages": [{"role": "user", "content": "\\u0000"}, null, {"role": "assistant", "content": "a"}]}',
    '{"other": "\\ud83d\\ude00"}', '{"messages"', ': []}', "{'messages': []}", "{\x00}",
    "\ufeff{}", '{"messages": [[]]}',
    '  {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}  ',
    '{"messages": [{"r\\u006fle": "user", "content": "q"}, {"role": "assistant", "content": "\\/a"}]}',
    json.dumps({"messages": json.dumps(chat("q")["messages"])}),
]  # fmt: skip
line = (
    messages.map(json.dumps).map(str.encode)
    | good.map(lambda row: json.dumps(row, ensure_ascii=False).encode())
    | st.sampled_from(NASTY).map(str.encode)
    | st.just(b'{"messages": "\xff"}')
    | st.just(b'{"x": "\xed\xa0\x80"}')
)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(line, min_size=1, max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 100, json_lines.BLOCK_BYTES]),
    st.sampled_from([1, 100, 1 << 20]),
)
def test_both_roads_give_the_same_rows_places_and_faults(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[bytes],
    end: bytes,
    bom: bool,
    closed: bool,
    size: int,
    few: int,
) -> None:
    path = tmp_path_factory.mktemp("x") / "a.jsonl"
    content = end.join(lines) + end * closed
    path.write_bytes(b"\xef\xbb\xbf" * bom + content)
    if not content.removeprefix(b"\xef\xbb\xbf").strip() or content.lstrip()[:1] == b"[":
        return
    work = job(CHAT)
    slow = one_by_one(path, work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines.blocks, "__defaults__", (size,))
        patch.setattr(mapped, "_FEW_BYTES", few)
        fast = everything(path, work)
        parts = everything(path, work, mapped.spans(file_at(path), size))

    assert fast == slow
    assert parts == slow


def test_ordinary_rows_do_not_become_python_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"id": number, **chat(f"q{number}")}) for number in range(3000)]
    path = written(tmp_path / "a.jsonl", [*lines[:1500], '{"messages": []}', *lines[1500:2000], "{", *lines[2000:]])
    seen: list[int] = []
    add = RowByRow.add

    def counted(self: RowByRow, index: int, record: Any) -> None:
        seen.append(index)
        add(self, index, record)

    monkeypatch.setattr(RowByRow, "add", counted)

    found = everything(path, job(CHAT))

    assert [bad[1] for bad in found["bad"]] == [1501, 2002]
    assert len(found["rows"]) == 3000
    assert len(seen) < 1000  # the faults' neighbours


@pytest.mark.parametrize("nested", ['"x": Inf', '"x": -NaN', '"x": ' + "9" * 5000, '"x": ' + "[" * 5000 + "]" * 5000])
def test_a_value_beyond_python_in_an_unread_column_never_depends_on_the_rows_around_it(
    tmp_path: Path, nested: str
) -> None:
    odd = json.dumps(chat("odd"))[:-1] + ", " + nested + "}"

    alone = everything(written(tmp_path / "a.jsonl", [odd]), job(CHAT))
    among = everything(written(tmp_path / "b.jsonl", ["{", odd, json.dumps(chat("q"))]), job(CHAT))

    assert [row["messages"][0]["content"] for row in alone["rows"]] == ["odd"]
    assert [row["messages"][0]["content"] for row in among["rows"]] == ["odd", "q"]
    assert among["place"] == [2, 3]


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000 + "]" * 5000])
def test_a_value_beyond_python_in_the_column_that_is_read_is_a_bad_row(tmp_path: Path, value: str) -> None:
    found = everything(written(tmp_path / "a.jsonl", [json.dumps(chat("q")), f'{{"messages": {value}}}']), job(CHAT))

    assert [(place, reason) for _, place, reason, _ in found["bad"]] in (
        [(2, "nested too deeply")],
        [(2, "a number is too long to be read")],
    )


def test_a_key_named_twice_is_a_bad_row_where_somebody_reads_it(tmp_path: Path) -> None:
    whole = json.dumps(chat("q"))
    lines = [
        whole[:-1] + ', "messages": []}',
        whole[:-1] + ', "id": 1, "id": 2}',
        whole.replace('"content": "q"', '"content": "q", "content": "r"'),
    ]
    for where in (None, "id == null or id == 2"):
        found = everything(written(tmp_path / "a.jsonl", lines), job(CHAT, where=where))

        assert [(place, reason) for _, place, reason, _ in found["bad"]] == [
            (1, 'the column "messages" is given twice'),
            (3, 'turn 1: "content" is given twice'),
        ]
        assert found["place"] == [2]


def test_half_a_surrogate_pair_is_a_bad_row_with_its_line(tmp_path: Path) -> None:
    found = everything(
        written(tmp_path / "a.jsonl", [json.dumps(chat("q")), json.dumps(chat("\ud800")), json.dumps(chat("r"))]),
        job(CHAT),
    )

    assert [(place, reason) for _, place, reason, _ in found["bad"]] == [
        (2, "holds half a surrogate pair (\\ud800), which is no character")
    ]
    assert found["place"] == [1, 3]


def test_where_and_blank_lines_leave_rows_out_without_faults(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [json.dumps({"n": number, "text": "t"}) for number in range(5)])
    (tmp_path / "a.txt").write_text("a\n\n  \nb\n")

    filtered = everything(path, job([{"n": 1, "text": "t"}], where="n >= 3"))
    lines = everything(tmp_path / "a.txt", job([{"text": "t"}]))

    assert (filtered["index"], filtered["left"], filtered["bad"]) == ([3, 4], {"where": [0, 1, 2]}, [])
    assert (lines["place"], lines["left"]) == ([1, 4], {"blank line": [1, 2]})


@pytest.mark.parametrize("target", [1, 50, 500, 10**9])
def test_a_file_in_spans_is_the_file(tmp_path: Path, target: int) -> None:
    rows: list[Any] = [*chats(20), {"messages": []}, *chats(5)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n" + json.dumps(chat("last")))
    table = pa.Table.from_pylist(chats(40))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    work = job(CHAT)

    for file in (path, tmp_path / "a.parquet", tmp_path / "a.arrow"):
        spans = mapped.spans(file_at(file), target)
        whole, parts = everything(file, work), everything(file, work, spans)
        if file.suffix != ".jsonl":
            del whole["place"], parts["place"]  # numbers of rows begin anew in each span
        assert parts == whole
        assert (spans[0].start, spans[0].stop == -1) == (0, len(spans) == 1)
        assert (len(spans) > 1) == (target <= 500)


@pytest.mark.parametrize("content", ['[{"text": "a"},\n{"text": "b"}]', '{"text": "a"}\n{"text": "b"}'])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_list_and_lines_are_told_apart_by_content(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text("\ufeff\n \n" + content)

    spans = mapped.spans(file_at(tmp_path / name), 10)
    found = everything(tmp_path / name, job([{"text": "a"}]), spans)

    assert [row["text"] for row in found["rows"]] == ["a", "b"]
    assert found["place"] == [3, 4]
    assert (len(spans) == 1) == (content[0] == "[")


def test_an_object_of_rows_is_no_file_of_lines(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"data": [\n{"text": "a"},\n{"text": "b"}]}')

    assert (
        len(everything(tmp_path / "a.json", job([{"text": "a"}]), mapped.spans(file_at(tmp_path / "a.json")))["rows"])
        == 2
    )


def test_packed_lines_read_in_bulk(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    noise = random.Random(0).randbytes(30_000).hex()
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in [*chats(30), chat(noise)]).encode()))

    assert everything(path, job(CHAT)) == one_by_one(path, job(CHAT))
    path.write_bytes(path.read_bytes()[:-2000])
    assert "truncated" in problem(path, job(CHAT))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"\n \n", "holds no rows"), ("{}".encode("utf-16"), "UTF-16"), (b"[{", "not JSON")],
)
def test_a_file_that_is_no_use_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)

    assert said in problem(tmp_path / "a.jsonl", job(CHAT))


def test_a_blank_span_of_a_file_with_rows_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(chat("q")) + "\n" * 500)

    assert len(everything(path, job(CHAT), mapped.spans(file_at(path), 100))["rows"]) == 1
    path.write_text("\n" * 500)
    assert "holds no rows" in problem(path, job(CHAT), 100)


def test_a_file_that_changes_after_it_was_planned_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [json.dumps(row) for row in chats(20)])
    spans = mapped.spans(file_at(path), 200)
    everything(path, job(CHAT), spans[:1])
    os.utime(path, ns=(1, 1))

    with pytest.raises(DataError) as caught:
        everything(path, job(CHAT), spans[1:])

    assert "changed while it was read" in str(caught.value.problems[0])


def test_rows_of_ten_megabytes_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [json.dumps(chat("q", "x" * 10_000_000)), "{", json.dumps(chat("r"))])

    for spans in (None, mapped.spans(file_at(path), 1 << 20)):
        found = everything(path, job(CHAT), spans)
        assert [len(row["messages"][1]["content"]) for row in found["rows"]] == [10_000_000, 1]
        assert found["place"] == [1, 3]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "t0-p3/t0_train_clean_sources.jsonl.gz", "gsm8k/train.jsonl.gz", "dolly_hhrlhf/dolly_hhrlhf_train_small.jsonl",
        "fastchat/dummy_conversation.json", "alpaca-format/gsm_8k_train.json.gz", "hh-rlhf/harmless-base/test.jsonl.gz",
        "parquet/taskmaster4-messages/train_sft-00000-of-00001.parquet",
        "parquet/gsm8k-main/train-00000-of-00001.parquet",
        "parquet/hh-harmless-messages/test-00000-of-00001.parquet", "llamafactory-demos/reason_tool_use_demo_50.jsonl",
        "llamafactory-demos/c4_demo.jsonl", "llamafactory-demos/v1_dpo_demo.jsonl",
    ],
)  # fmt: skip
def test_real_files_read_the_same_on_both_roads(shared_data: Path, name: str) -> None:
    located = locate(Source(path=str(shared_data / name)))
    kinds = (*ROWS, "preference", "unpaired", "prompt")
    fit = shapes.recognise(located, kinds)
    work = mapped.Job(fit, fit.shape, located.source)

    found = everything(shared_data / name, work)

    assert len(found["rows"]) >= 10
    assert found == one_by_one(shared_data / name, work)
