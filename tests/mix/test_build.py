from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import DataError, UsageError
from align_cli.mix import build as building
from align_cli.mix.build import Build, build
from align_cli.recipe.schema import Mixture, Source
from tests.mix.conftest import ROWS, chat, chats

Jsonl = Callable[[str, Iterable[Any]], str]


def mixed(*sources: str | Source, kinds: tuple[str, ...] = ROWS, **rest: Any) -> Build:
    listed = tuple(Source(path=source) if isinstance(source, str) else source for source in sources)
    return build(Mixture(sources=listed, **rest), kinds)


def read(built: Build, name: str = "train") -> list[dict[str, Any]]:
    import pyarrow as pa

    rows: list[dict[str, Any]] = pa.ipc.open_stream(str(built.folder / f"{name}.arrow")).read_all().to_pylist()
    return rows


def questions(built: Build, name: str = "train") -> list[str]:
    return [row["messages"][0]["content"] for row in read(built, name)]


def problems(error: DataError) -> str:
    return "\n".join(str(problem) for problem in error.problems)


def test_rows_of_all_sources_come_out_once_with_their_source(jsonl: Jsonl) -> None:
    built = mixed(jsonl("a.jsonl", chats(30)), jsonl("b.jsonl", chats(20, 100)))

    rows = read(built)

    assert sorted(row["messages"][0]["content"] for row in rows) == sorted(
        f"q{number}" for number in (*range(30), *range(100, 120))
    )
    assert all((int(row["messages"][0]["content"][1:]) >= 100) == row["source"] for row in rows)
    assert (built.num_train, built.num_eval, built.from_store) == (50, 0, False)
    assert set(rows[0]) == {"messages", "source", "place"}
    assert set(rows[0]["messages"][0]) == {"role", "content"}


def test_the_report_counts_what_was_kept_dropped_and_held_out(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", [*chats(40), {"messages": []}, *chats(10, 50)])

    built = mixed(Source(path="a.jsonl", fraction=0.5, name="mine"), held_out=5, on_bad_rows="skip")

    (source,) = built.report["sources"]
    assert source["label"] == "mine"
    assert (source["available"], source["kept"], source["held_out"]) == (50, 20, 5)
    assert source["dropped"] == {"bad row": 1}
    assert source["bad_rows"] == [{"where": "a.jsonl:41", "reason": '"messages" is an empty list'}]
    assert built.report == json.loads((built.folder / "mixture.json").read_text())
    assert (built.report["kind"], built.report["combine"], built.report["digest"]) == (
        "messages",
        "native",
        built.digest,
    )
    assert not set(questions(built)) & set(questions(built, "eval"))


def test_bad_rows_of_a_list_on_one_line_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([*chats(2), {"messages": []}, *chats(1, 9), {"messages": 3}]))

    with pytest.raises(DataError) as caught:
        mixed("a.json")

    assert [problem.where for problem in caught.value.problems] == ["a.json:1 (row 3)", "a.json:1 (row 5)"]


def test_the_same_mixture_is_built_once_whatever_its_files_are_called(jsonl: Jsonl, tmp_path: Path) -> None:
    first = mixed(jsonl("a.jsonl", chats(10)))
    os.rename("a.jsonl", "b.jsonl")
    os.utime("b.jsonl", (1, 1))

    second = mixed("b.jsonl")

    assert second.from_store
    assert second.digest == first.digest
    assert second.report["sources"][0]["label"] == "b.jsonl"


def test_a_file_keeps_its_rows_and_their_order_under_another_name(
    jsonl: Jsonl, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = mixed(Source(path=jsonl("a.jsonl", chats(50)), fraction=0.3))
    os.rename("a.jsonl", "b.jsonl")
    monkeypatch.setenv("ALIGN_CACHE", "other")

    second = mixed(Source(path="b.jsonl", fraction=0.3))

    assert not second.from_store
    assert questions(second) == questions(first)


def test_a_file_that_changes_between_digest_and_rows_is_an_error(
    jsonl: Jsonl, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jsonl("a.jsonl", chats(5))
    real = building.identity.of

    def meddle(located: Any) -> dict[str, Any]:
        found = real(located)
        jsonl("a.jsonl", chats(6))
        return found

    monkeypatch.setattr(building.identity, "of", meddle)

    with pytest.raises(DataError) as caught:
        mixed("a.jsonl")

    assert "changed while it was read" in problems(caught.value)
    assert [entry for entry in store.iterdir() if entry.is_dir()] == []


def test_an_impossible_amount_names_its_own_source(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", chats(5))

    with pytest.raises(DataError) as caught:
        mixed("a.jsonl", eval=(Source(path="a.jsonl", rows=9, name="mine"),))

    assert "mine: 9 rows are asked for and 5 can be used" in problems(caught.value)


def test_one_changed_row_is_noticed_even_with_size_and_date_kept(jsonl: Jsonl) -> None:
    first = mixed(jsonl("a.jsonl", chats(10)))
    before = os.stat("a.jsonl")
    Path("a.jsonl").write_text(Path("a.jsonl").read_text().replace("q3", "q_", 1))
    os.utime("a.jsonl", ns=(before.st_atime_ns, before.st_mtime_ns))

    second = mixed("a.jsonl")

    assert not second.from_store
    assert second.digest != first.digest


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"held_out": 2}, {"combine": "trl"}, {"on_bad_rows": "skip"}],
    ids=lambda change: next(iter(change)),
)
def test_every_parameter_is_part_of_the_digest(jsonl: Jsonl, change: dict[str, Any]) -> None:
    jsonl("a.jsonl", chats(10))

    assert mixed("a.jsonl").digest != mixed("a.jsonl", **change).digest


def test_two_builds_of_the_same_mixture_give_the_same_bytes(jsonl: Jsonl, monkeypatch: pytest.MonkeyPatch) -> None:
    jsonl("a.jsonl", chats(100))
    first = (mixed("a.jsonl", held_out=0.1).folder / "train.arrow").read_bytes()
    monkeypatch.setenv("ALIGN_CACHE", "other")

    assert (mixed("a.jsonl", held_out=0.1).folder / "train.arrow").read_bytes() == first


def test_the_external_shuffle_gives_the_rows_of_the_one_in_memory(
    jsonl: Jsonl, monkeypatch: pytest.MonkeyPatch
) -> None:
    from align_cli.mix.spools import shuffle

    jsonl("a.jsonl", chats(2500))
    jsonl("b.jsonl", chats(700, 5000))
    in_memory = read(mixed("a.jsonl", Source(path="b.jsonl", fraction=0.3)))
    monkeypatch.setenv("ALIGN_CACHE", "other")
    monkeypatch.setattr(shuffle, "_BUCKET_BYTES", 20_000)

    assert read(mixed("a.jsonl", Source(path="b.jsonl", fraction=0.3))) == in_memory


def test_evaluation_sources_and_held_out_rows_come_one_after_the_other(jsonl: Jsonl) -> None:
    built = mixed(jsonl("a.jsonl", chats(20)), held_out=3, eval=(Source(path=jsonl("e.jsonl", chats(4, 90))),))

    assert questions(built, "eval")[3:] == ["q90", "q91", "q92", "q93"]
    assert [row["source"] for row in read(built, "eval")] == [0, 0, 0, 1, 1, 1, 1]
    assert [source["for"] for source in built.report["sources"]] == ["train", "eval"]


def test_bad_rows_stop_the_build_with_place_reason_and_fix_and_leave_nothing(jsonl: Jsonl, store: Path) -> None:
    jsonl("a.jsonl", [*chats(3), {"messages": [{"role": "user", "content": "q"}]}, {"x": 1}])
    jsonl("b.jsonl", [*chats(3), {"messages": [*chat("q")["messages"], {"role": "assistant", "content": "b"}]}])

    with pytest.raises(DataError) as caught:
        mixed("a.jsonl", "b.jsonl")

    assert "3 of 9 rows" in caught.value.message
    assert "on_bad_rows=skip" in caught.value.hint
    assert "a.jsonl:4: no turn is the assistant's" in problems(caught.value)
    assert "a.jsonl:5" in problems(caught.value)
    assert "b.jsonl:4: turns 2 and 3 are both the assistant's" in problems(caught.value)
    assert [entry.name for entry in store.iterdir() if entry.is_dir()] == []


def test_of_many_bad_rows_ten_are_shown_and_all_counted(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", [*chats(1), *({"messages": []} for _ in range(500))])

    with pytest.raises(DataError, match="500 of 501 rows") as caught:
        mixed("a.jsonl")

    assert len(caught.value.problems) == 10


def test_half_a_surrogate_pair_is_a_bad_row_with_its_line(tmp_path: Path) -> None:
    good = json.dumps(chat("q"))
    (tmp_path / "a.jsonl").write_text(f"{good}\n{json.dumps(chat(chr(0xD800)))}\n{good}\n")

    with pytest.raises(DataError) as caught:
        mixed("a.jsonl")

    assert "a.jsonl:2: holds half a surrogate pair" in problems(caught.value)
    assert mixed("a.jsonl", on_bad_rows="skip").num_train == 2


def test_all_sources_that_fail_are_told_together(jsonl: Jsonl, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")

    with pytest.raises(DataError) as caught:
        mixed("missing.jsonl", jsonl("a.jsonl", chats(1)), "gone.csv")
    with pytest.raises(DataError) as empty:
        mixed("empty.jsonl", "a.jsonl")

    assert "missing.jsonl" in problems(caught.value)
    assert "gone.csv" in problems(caught.value)
    assert "the file is empty" in problems(empty.value)


def test_skipped_rows_leave_the_order_of_the_handbook_otherwise_as_it_was(jsonl: Jsonl) -> None:
    rows = chats(40)
    whole = questions(mixed(jsonl("a.jsonl", rows), combine="handbook-2023"))
    rows[7] = {"messages": []}

    skipped = questions(mixed(jsonl("b.jsonl", rows), combine="handbook-2023", on_bad_rows="skip"))

    assert skipped == [question for question in whole if question != "q7"]


def test_pairs_beside_conversations_become_conversations_with_a_note(jsonl: Jsonl) -> None:
    built = mixed(jsonl("a.jsonl", chats(2)), jsonl("b.jsonl", [{"prompt": "p", "completion": "c"}]))

    pair = next(row for row in read(built) if row["source"] == 1)

    assert [(turn["role"], turn["content"]) for turn in pair["messages"]] == [("user", "p"), ("assistant", "c")]
    assert any("b.jsonl" in note for note in built.report["notes"])


def test_text_beside_conversations_is_refused(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", chats(2))
    jsonl("t.jsonl", [{"text": "t"}])

    with pytest.raises(DataError, match="cannot be one mixture") as caught:
        mixed("a.jsonl", "t.jsonl")

    assert "a.jsonl: messages, t.jsonl: text" in problems(caught.value)


def test_tools_and_calls_appear_only_where_some_row_has_them(jsonl: Jsonl) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}
    with_tools = {"messages": [chat("q")["messages"][0], call], "tools": [{"name": "f"}]}

    rows = read(mixed(jsonl("a.jsonl", [chat("x"), with_tools])))

    tooled = next(row for row in rows if row["tools"])
    assert json.loads(tooled["messages"][1]["extra"]) == {"tool_calls": [{"function": {"name": "f"}}]}
    assert tooled["messages"][1]["content"] is None
    assert "chat_template_kwargs" not in tooled


def test_blank_lines_of_text_are_dropped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\n\nb\n  \n")

    built = mixed("a.txt")

    assert sorted(row["text"] for row in read(built)) == ["a", "b"]
    assert built.report["sources"][0]["dropped"] == {"blank line": 2}
    assert [row["text"] for row in read(mixed(Source(path="a.txt", layout="documents")))] == ["a\n\nb\n  \n"]


def test_a_split_expression_takes_its_rows(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", [{"messages": []}, *chats(10)])

    built = mixed(Source(path="a.jsonl", split="train[1:4]+train[-1:]", shuffle=False))

    assert sorted(questions(built)) == ["q0", "q1", "q2", "q9"]


def test_a_mixture_without_sources_or_rows_is_an_error(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", chats(5))

    with pytest.raises(DataError, match="no training data"):
        mixed()
    with pytest.raises(DataError, match="no row is left to train on"):
        mixed(Source(path="a.jsonl", rows=0))
    with pytest.raises(DataError) as caught:
        mixed("a.jsonl", eval=(Source(path="a.jsonl", rows=0),))
    assert "evaluate" in problems(caught.value)


@pytest.mark.slow
def test_a_saved_data_set_reads_without_the_library_that_saved_it(tmp_path: Path) -> None:
    code = f"""
from datasets import Dataset, DatasetDict
rows = {chats(25)!r}
DatasetDict(train=Dataset.from_list(rows), test=Dataset.from_list(rows[:3])).save_to_disk("saved")
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)

    built = mixed("saved", eval=(Source(path="saved", split="test"),))

    assert sorted(questions(built)) == sorted(row["messages"][0]["content"] for row in chats(25))
    assert questions(built, "eval") == ["q0", "q1", "q2"]


def test_an_unwritable_store_names_the_variable_that_moves_it(jsonl: Jsonl, monkeypatch: pytest.MonkeyPatch) -> None:
    jsonl("a.jsonl", chats(1))
    monkeypatch.setenv("ALIGN_CACHE", "a.jsonl")  # a file where the folder would be

    with pytest.raises(UsageError) as caught:
        mixed("a.jsonl")

    assert "ALIGN_CACHE" in caught.value.hint


def test_a_full_disk_is_a_plain_error_and_leaves_nothing(
    jsonl: Jsonl, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from align_cli.errors import AlignError

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    jsonl("a.jsonl", chats(5))
    monkeypatch.setattr(building.spool, "write_ordered", full)

    with pytest.raises(AlignError, match="full"):
        mixed("a.jsonl")

    assert [entry for entry in store.iterdir() if entry.is_dir()] == []


def test_a_killed_build_leaves_nothing_that_a_later_one_would_use(jsonl: Jsonl, store: Path) -> None:
    jsonl("a.jsonl", chats(20))
    code = f"""
import os, signal
from align_cli.mix import build
from align_cli.mix.spools import spool
from align_cli.recipe.schema import Mixture, Source
spool.write_ordered = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
build.build(Mixture(sources=(Source(path="a.jsonl"),)), {ROWS!r})
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    left = [entry for entry in store.iterdir() if entry.is_dir()]

    built = mixed("a.jsonl")

    assert killed.returncode == -9
    assert len(left) == 1
    assert left[0].name.startswith(".")
    assert not built.from_store
    assert [entry for entry in store.iterdir() if entry.is_dir()] == [built.folder]


def test_a_second_build_waits_says_so_and_uses_the_first_ones_result(jsonl: Jsonl) -> None:
    from align_cli.mix.store import store

    jsonl("a.jsonl", chats(20))
    first = mixed("a.jsonl")
    code = f"""
from align_cli.mix.build import build
from align_cli.recipe.schema import Mixture, Source
import align_cli.mix.store.store as store
real, asked = store.find, []
store.find = lambda digest: None if not asked and not asked.append(1) else real(digest)
built = build(Mixture(sources=(Source(path="a.jsonl"),)), {ROWS!r}, say=lambda line: print(line, flush=True))
print(built.from_store)
"""
    with store.building(first.digest, print):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = process.stdout.readline()
    rest = process.communicate()[0]

    assert "waiting" in said
    assert rest.strip() == "True"


def test_the_mixing_code_imports_nothing_heavy() -> None:
    code = """
import sys, importlib, pkgutil, align_cli.mix
for module in pkgutil.walk_packages(align_cli.mix.__path__, "align_cli.mix."):
    importlib.import_module(module.name)
print([name for name in ("numpy", "pyarrow", "datasets", "torch", "huggingface_hub") if name in sys.modules])
"""
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
    )


@pytest.mark.parametrize(
    ("path", "source", "kind", "count"),
    [
        ("fastchat/dummy_conversation.json", {}, "messages", 500),
        ("gpteacher/Codegen/codegen-instruct.json", {}, "messages", 4535),
        ("gsm8k", {}, "messages", 7473),
        ("gsm8k", {"split": "test"}, "messages", 1319),
        ("alpaca-format/dolly_fixture.json", {}, "messages", 12),
        ("dolly_hhrlhf/dolly_hhrlhf_train_small.jsonl", {}, "prompt_completion", 1000),
        ("llamafactory-demos/glaive_toolcall_en_demo.json", {}, "messages", 300),
        ("llamafactory-demos/c4_demo.jsonl", {}, "text", 300),
        ("corpora/python-docs/tutorial", {"layout": "documents"}, "text", 17),
        ("parquet/gsm8k-main", {}, "messages", 7473),
        ("parquet/taskmaster4-messages", {"split": "train_sft"}, "messages", 3710),
        (
            "taskmaster4",
            {"columns": {"messages": "utterances", "role": "speaker", "content": "text"}},
            "messages",
            3710,
        ),
    ],
)
def test_real_data_sets_read_whole(shared_data: Path, path: str, source: dict[str, Any], kind: str, count: int) -> None:
    built = mixed(Source(path=str(shared_data / path), **source))

    assert (built.report["kind"], built.num_train) == (kind, count)


@pytest.mark.slow
def test_real_data_that_fit_no_layout_say_what_was_tried(shared_data: Path) -> None:
    with pytest.raises(DataError) as caught:
        mixed(str(shared_data / "chitchat"))

    assert "items are a list, not turns" in problems(caught.value)
