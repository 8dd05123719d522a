from __future__ import annotations

import errno
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from align_cli.errors import AlignError, EndpointError, UsageError
from align_cli.mix.build import Build, build
from align_cli.mix.exports import export as exporting
from align_cli.mix.exports.export import SHARDS, export, target_of
from align_cli.recipe.schema import Mixture, Source

ROWS = ("messages", "prompt_completion", "text")
CALLS = [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]
OTHER_CALLS = [{"type": "function", "function": {"name": "say", "arguments": {"text": "hi"}}}]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]


def with_calls(calls: Any, question: str = "1 + 1?") -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "content": "2", "name": "add", "tool_call_id": "x1"},
            {"role": "assistant", "content": "two"},
        ],
        "tools": TOOLS,
    }


def mixed(*paths: str, **asked: Any) -> Build:
    return build(Mixture(sources=tuple(Source(path=path) for path in paths), **asked), ROWS)


def rows_of(found: Build, split: str = "train") -> list[dict[str, Any]]:
    """The rows, without what says where they come from."""
    with pa.memory_map(str(found.folder / f"{split}.arrow")) as file, pa.ipc.open_stream(file) as reader:
        table = reader.read_all().drop_columns(["source", "place"])
    return table.to_pylist()


def chats(count: int) -> list[dict[str, Any]]:
    return [
        {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}\nß"}]}
        for n in range(count)
    ]


SETS: dict[str, list[dict[str, Any]]] = {
    "chats": chats(7),
    "tool calls of one form": [with_calls(CALLS), with_calls(CALLS, "again")],
    "tool calls of many forms": [with_calls(CALLS), with_calls(OTHER_CALLS), *chats(2)],
    "prompt and completion": [{"prompt": f"p{n}", "completion": f"c{n}"} for n in range(5)],
    "text": [{"text": f"line {n}"} for n in range(5)],
    "template arguments": [{**chats(1)[0], "chat_template_kwargs": {"enable_thinking": True}}, *chats(2)],
}


@pytest.mark.parametrize("target", ["out/", "rows.parquet", "rows.jsonl", "rows.jsonl.gz"])
@pytest.mark.parametrize("name", SETS)
def test_what_is_read_back_are_the_same_rows_in_the_same_order(jsonl: Callable[..., str], name: str, target: str):
    found = mixed(jsonl("rows.in.jsonl", SETS[name]))

    export(found, target_of(target))

    sources = (Source(path=target, shuffle=False),)
    again = build(Mixture(sources=sources, order="concatenated"), ROWS)
    assert rows_of(again) == rows_of(found)


def test_the_held_out_rows_are_a_split_of_the_folder_and_a_file_beside_the_file(jsonl: Callable[..., str]):
    found = mixed(jsonl("rows.in.jsonl", chats(10)), held_out=3)

    folder = export(found, target_of("out/"))
    file = export(found, target_of("rows.jsonl"))

    assert (folder["rows"], folder["eval_rows"]) == (7, 3)
    assert pq.read_table(Path("out") / SHARDS["test"]).num_rows == 3
    assert file["paths"] == ["rows.jsonl", "rows.eval.jsonl"]
    expected = [row["messages"] for row in rows_of(found, "eval")]
    assert [json.loads(line)["messages"] for line in Path("rows.eval.jsonl").read_text().splitlines()] == expected


def test_rows_carry_the_label_of_their_source(jsonl: Callable[..., str]):
    found = mixed(jsonl("a.jsonl", chats(2)), jsonl("b.jsonl", SETS["chats"][:3]), order="concatenated")

    export(found, target_of("rows.parquet"))

    assert pq.read_table("rows.parquet")["source"].to_pylist() == ["a.jsonl"] * 2 + ["b.jsonl"] * 3


def test_tools_and_calls_are_objects_in_json_lines(jsonl: Callable[..., str]):
    export(mixed(jsonl("rows.in.jsonl", [with_calls(CALLS)])), target_of("rows.jsonl"))

    row = json.loads(Path("rows.jsonl").read_text())
    assert row["tools"] == TOOLS
    assert row["messages"][1] == {"role": "assistant", "content": "", "tool_calls": CALLS}
    assert row["messages"][0] == {"role": "user", "content": "1 + 1?"}


def test_calls_of_one_form_are_typed_and_calls_of_many_forms_are_text_in_parquet(jsonl: Callable[..., str]):
    for name, rows in (("one", [CALLS]), ("many", [CALLS, OTHER_CALLS])):
        found = mixed(jsonl(f"{name}.in.jsonl", [with_calls(calls, str(calls)) for calls in rows]))
        export(found, target_of(f"{name}.parquet"))

    def kind(name: str) -> pa.DataType:
        return pq.read_schema(name).field("messages").type.value_type.field("tool_calls").type

    assert pa.types.is_list(kind("one.parquet"))
    assert pa.types.is_string(kind("many.parquet"))


def test_equal_mixtures_give_equal_bytes(jsonl: Callable[..., str]):
    found = mixed(jsonl("rows.in.jsonl", chats(9)))

    for name in ("a.jsonl.gz", "b.jsonl.gz", "a.parquet", "b.parquet"):
        export(found, target_of(name))

    assert Path("a.jsonl.gz").read_bytes() == Path("b.jsonl.gz").read_bytes()
    assert Path("a.parquet").read_bytes() == Path("b.parquet").read_bytes()
    assert gzip.decompress(Path("a.jsonl.gz").read_bytes()).count(b"\n") == 9


def test_nothing_that_is_there_is_lost_without_force(jsonl: Callable[..., str]):
    found = mixed(jsonl("rows.in.jsonl", chats(4)))
    Path("rows.jsonl").write_text("mine")

    with pytest.raises(UsageError, match=r"rows\.jsonl exists"):
        target_of("rows.jsonl")
    assert Path("rows.jsonl").read_text() == "mine"

    export(found, target_of("rows.jsonl", force=True), force=True)
    assert Path("rows.jsonl").read_text().count("\n") == 4


def test_a_folder_of_somebody_elses_is_never_replaced(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")

    for force in (False, True):
        with pytest.raises(UsageError, match=r"thesis\.tex"):
            target_of("mine", force=force)


def test_an_earlier_export_is_replaced_whole(jsonl: Callable[..., str]):
    export(mixed(jsonl("rows.in.jsonl", chats(10)), held_out=3), target_of("out/"))
    smaller = mixed(jsonl("rows.in.jsonl", chats(2)))

    with pytest.raises(UsageError, match="holds an export already"):
        target_of("out/")
    export(smaller, target_of("out/", force=True), force=True)

    assert not (Path("out") / SHARDS["test"]).exists()
    assert pq.read_table(Path("out") / SHARDS["train"]).num_rows == 2
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("target", ["out/", "rows.parquet", "rows.jsonl"])
def test_a_full_disk_leaves_nothing_behind(jsonl: Callable[..., str], monkeypatch: pytest.MonkeyPatch, target: str):
    found = mixed(jsonl("rows.in.jsonl", chats(4)))
    before = sorted(Path().iterdir())

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exporting, "_sync", full)
    with pytest.raises(AlignError, match="is full") as caught:
        export(found, target_of(target))

    assert caught.value.exit_code == 1
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("target", ["rows.csv", "hub:", "hub:me", "hub:a/b/c", ""])
def test_what_is_no_target_is_said_before_any_work(target: str):
    with pytest.raises(UsageError):
        target_of(target)


def test_the_hub_that_cannot_be_reached_leaves_the_data_set_here(
    jsonl: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    found = mixed(jsonl("secret name.jsonl", chats(4)))
    target = target_of("hub:me/rows")

    with pytest.raises(EndpointError, match="me/rows") as caught:
        export(found, target)

    assert str(target.path) in caught.value.hint
    assert sorted(path.name for path in target.path.iterdir()) == ["README.md", SHARDS["train"]]


@pytest.mark.slow
def test_datasets_reads_the_folder_with_its_splits(jsonl: Callable[..., str]):
    import datasets

    found = mixed(jsonl("rows.in.jsonl", [with_calls(CALLS, f"q{n}") for n in range(6)]), held_out=2)
    export(found, target_of("out/"))

    loaded = datasets.load_dataset(str(Path("out").resolve()))

    assert {name: len(split) for name, split in loaded.items()} == {"train": 4, "test": 2}
    assert loaded["train"][0]["messages"][1]["tool_calls"] == CALLS


def test_rows_to_evaluate_on_of_an_earlier_export_do_not_stay_beside_a_new_one(jsonl: Callable[..., str]):
    jsonl("a.jsonl", chats(10))
    export(mixed("a.jsonl", held_out=2), target_of("out.jsonl"))

    export(mixed("a.jsonl"), target_of("out.jsonl", force=True), force=True)

    assert Path("out.jsonl").exists()
    assert not Path("out.eval.jsonl").exists()


def test_an_export_never_replaces_a_source(jsonl: Callable[..., str]):
    jsonl("a.jsonl", chats(10))
    before = Path("a.jsonl").read_bytes()

    with pytest.raises(UsageError, match="is a source of this mixture"):
        export(mixed("a.jsonl"), target_of("a.jsonl", force=True), force=True)

    assert Path("a.jsonl").read_bytes() == before
