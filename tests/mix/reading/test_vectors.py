"""Every layout that is read in bulk comes out as it does row by row, however Arrow keeps its columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.errors import DataError
from align_cli.mix.reading import turn_columns, vectors
from tests.mix.conftest import chat, chats
from tests.mix.reading.test_mapped import everything, job, one_by_one

KINDS = ("messages", "prompt_completion", "text", "preference")

said = st.sampled_from(["", "a", "é", "two words", " ", "[]", "x\ny", "\x1c", "\u200b", "\x85"])
maybe = st.none() | said
roles = st.sampled_from(["user", "assistant", "system", "developer", "tool"])
theirs = st.sampled_from(["human", "gpt", "system", "observation", "function_call", "user", "nobody"])


def turns(role: str, content: str, names: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.fixed_dictionaries({role: names, content: maybe}, optional={"name": maybe, "weight": st.integers(0, 1)})
    return st.lists(one, max_size=4) | st.just([{role: names, content: "x"} for names in ("user", "assistant")])


ours, sharegpt = turns("role", "content", roles), turns("from", "value", theirs)
begin = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
theirs_begin = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}

pairs = st.tuples(st.sampled_from("ab"), st.sampled_from("abc"), st.booleans()).map(
    lambda said: [
        *({"role": "system", "content": "s"} for _ in range(said[2])),
        {"role": "user", "content": said[0]},
        {"role": "assistant", "content": said[1]},
    ]
)

#: Layout -> (a row that shows it, rows of it, the shapes that it can take).
LAYOUTS: dict[str, tuple[dict[str, Any], Any, tuple[str, ...]]] = {
    "messages": (
        {"messages": list(begin), "tools": None, "chat_template_kwargs": None},
        {"messages": ours | st.none(), "tools": maybe, "chat_template_kwargs": st.none()},
        ("messages",),
    ),
    "sharegpt": (
        {"conversations": list(theirs_begin), "system": "s"},
        {"conversations": sharegpt | st.none(), "system": maybe},
        ("messages",),
    ),
    "prompt_completion": (
        {"prompt": "p", "completion": "c"},
        {"prompt": maybe, "completion": maybe},
        ("pair_text", "pair_turns", "messages"),
    ),
    "prompt_completion of turns": (
        {"prompt": [begin[0]], "completion": [begin[1]]},
        {"prompt": ours, "completion": ours},
        ("pair_turns", "messages"),
    ),
    "alpaca": (
        {"instruction": "i", "input": "", "output": "o", "system": "s", "history": []},
        {"instruction": maybe, "input": maybe, "output": maybe, "system": maybe, "history": st.none() | st.just([])},
        ("messages",),
    ),
    "question_answer": ({"question": "q", "answer": "a"}, {"question": maybe, "answer": maybe}, ("messages",)),
    "text": ({"text": "t"}, {"text": maybe}, ("text",)),
    "preference": (
        {"prompt": "p", "chosen": "c", "rejected": "r"},
        {"prompt": maybe, "chosen": maybe, "rejected": maybe},
        ("preference_text", "preference_turns"),
    ),
    "preference of turns": (
        {"prompt": "q", "chosen": list(begin), "rejected": [begin[0], {"role": "assistant", "content": "b"}]},
        {"prompt": maybe, "chosen": ours | pairs, "rejected": ours | pairs},
        ("preference_turns",),
    ),
}
cases = [(name, shape) for name, (_, _, shapes) in LAYOUTS.items() for shape in shapes]


@pytest.mark.parametrize(("name", "shape"), cases)
@pytest.mark.parametrize(("system", "repair"), [(None, False), ("Be brief.", False), ("Be brief.", True)])
def test_lines_in_bulk_are_the_lines_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, name: str, shape: str, system: str | None, repair: bool
) -> None:
    sample, columns, _ = LAYOUTS[name]
    work = job([sample], KINDS, shape, repair, system=None if "text" in shape else system)
    assert vectors.bulk(work)

    @settings(deadline=None, max_examples=30)
    @given(
        st.lists(st.fixed_dictionaries({}, optional=columns) | st.fixed_dictionaries(columns), min_size=1, max_size=8)
    )
    def holds(rows: list[dict[str, Any]]) -> None:
        path = tmp_path_factory.mktemp("x") / "a.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert everything(path, work) == one_by_one(path, work)

    holds()


def kept_as(table: pa.Table, how: str) -> pa.Table:
    """The table with its texts and lists kept in another of Arrow's ways."""

    def large(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_string(kind) or pa.types.is_null(kind):
            return pa.large_string()
        if pa.types.is_list(kind):
            return pa.large_list(large(kind.value_type))
        return pa.struct([(field.name, large(field.type)) for field in kind]) if pa.types.is_struct(kind) else kind

    if how == "plain":
        return table
    if how == "dictionary":
        for number, field in enumerate(table.schema):
            if pa.types.is_string(field.type):
                table = table.set_column(number, field.name, table.column(number).dictionary_encode())
        return table
    return table.cast(pa.schema([(field.name, large(field.type)) for field in table.schema]))


@pytest.mark.parametrize(("name", "shape"), cases)
@pytest.mark.parametrize("how", ["plain", "large", "dictionary"])
def test_columns_in_bulk_are_the_rows_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, name: str, shape: str, how: str
) -> None:
    sample, columns, _ = LAYOUTS[name]
    work = job([sample], KINDS, shape)

    @settings(deadline=None, max_examples=12)
    @given(st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=8))
    def holds(rows: list[dict[str, Any]]) -> None:
        folder = tmp_path_factory.mktemp("x")
        table = pa.Table.from_pylist([*rows, sample] * 2, schema=pa.Table.from_pylist([sample, *rows]).schema)
        table = kept_as(table, how)
        pq.write_table(table, folder / "a.parquet", row_group_size=3)
        with pa.ipc.new_file(str(folder / "a.arrow"), table.schema) as writer:
            writer.write_table(table.slice(1), max_chunksize=2)
        for path in folder.iterdir():
            assert everything(path, work) == one_by_one(path, work)

    holds()


def test_text_kept_as_views_reads(tmp_path: Path) -> None:
    table = pa.table({"prompt": pa.array(["p"], pa.string_view()), "completion": pa.array(["c"], pa.string_view())})
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)

    assert everything(tmp_path / "a.arrow", job([{"prompt": "p", "completion": "c"}]))["rows"] == table.to_pylist()


def test_a_large_list_with_its_keys_in_another_order_reads(tmp_path: Path) -> None:
    kind = pa.large_list(pa.struct([("weight", pa.int8()), ("content", pa.large_string()), ("role", pa.string())]))
    table = pa.table({"messages": pa.array([row["messages"] for row in chats(5)], kind), "when": [1] * 5})
    pq.write_table(table, tmp_path / "a.parquet")

    found = everything(tmp_path / "a.parquet", job([chat("q")]))

    assert [row["messages"][0]["content"] for row in found["rows"]] == ["q0", "q1", "q2", "q3", "q4"]


@pytest.mark.parametrize(
    "source",
    [{"where": "n > 1"}, {"columns": {"role": "role"}, "layout": "speakers"}, {"layout": "numbered"}],
)
def test_what_is_not_done_in_bulk_says_so(source: dict[str, Any]) -> None:
    row = {"n": 2, "turn1": "a", "turn2": "b"} if source.get("layout") == "numbered" else {"n": 2, **chat("q")}
    if source.get("layout") == "speakers":
        row = {"utterances": [{"speaker": "user", "text": "q"}, {"speaker": "assistant", "text": "a"}]}
        source = {"layout": "speakers"}

    assert vectors.bulk(job([row], **source)) is None


def test_a_column_that_only_some_files_have_is_null_in_the_others(tmp_path: Path) -> None:
    work = job([{"instruction": "i", "input": "more", "output": "o"}])
    pq.write_table(pa.table({"instruction": ["i"], "output": ["o"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"input": ["i"], "other": ["o"]}), tmp_path / "b.parquet")

    found = [everything(tmp_path / name, work) for name in ("a.parquet", "b.parquet")]

    assert [turn["content"] for turn in found[0]["rows"][0]["messages"]] == ["i", "o"]
    assert [reason for _, _, reason, _ in found[1]["bad"]] == ['"instruction" is missing']


def test_text_that_is_not_utf8_is_a_bad_row_of_a_parquet_file(tmp_path: Path) -> None:
    raw = pa.array([b"fine", b"\xff\xfe", b"good"], pa.binary())
    broken = pa.StringArray.from_buffers(3, *raw.buffers()[1:])
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")

    found = everything(tmp_path / "a.parquet", job([{"text": "t"}]))

    assert ([row["text"] for row in found["rows"]], found["place"]) == (["fine", "good"], [1, 3])
    assert [(place, reason) for _, place, reason, _ in found["bad"]] == [(2, "not UTF-8 text")]


def test_times_read_as_text(tmp_path: Path) -> None:
    when = pa.array([1, 2**62], pa.timestamp("ns", "Europe/Berlin"))
    table = pa.table({"text": ["a", "b"], "when": when, "far": pa.array([10**8, 1], pa.date32())})
    pq.write_table(table, tmp_path / "a.parquet")

    found = everything(tmp_path / "a.parquet", job([{"text": "a", "when": "1970"}], where='when < "2000"'))

    assert [row["text"] for row in found["rows"]] == ["a"]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_damaged_file_or_one_without_rows_or_with_a_column_named_twice_is_an_error(tmp_path: Path, name: str) -> None:
    def problem(table: pa.Table, cut: int | None = None) -> str:
        path = tmp_path / name
        if name == "a.parquet":
            pq.write_table(table, path)
        else:
            with pa.ipc.new_file(str(path), table.schema) as writer:
                writer.write_table(table)
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(DataError) as caught:
            everything(path, job([{"text": "t"}]))
        return str(caught.value.problems[0])

    column = pa.array(["a"])
    assert "not a readable" in problem(pa.table({"text": column}), -20)
    assert "holds no rows" in problem(pa.table({"text": column}).slice(1))
    twice = pa.Table.from_arrays([column, column], names=["text", "text"])
    assert 'the column "text" is named twice' in problem(twice)


def test_space_is_what_python_says_it_is() -> None:
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]

    kept = turn_columns.stripped(pa.array(every)).to_pylist()

    assert kept == [character.strip() for character in every]
