"""Cleaning, choosing and ordering together, on real files through a real build."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from align_cli.errors import DataError
from align_cli.mix.build import Build, Measure, build
from align_cli.recipe.schema import Clean, Mixture, Source
from tests.mix.conftest import ROWS, chat, chats

Jsonl = Callable[..., str]


def mixed(*sources: Source | str, measure: Measure | None = None, **mixture: Any) -> Build:
    some = tuple(Source(path=source) if isinstance(source, str) else source for source in sources)
    return build(Mixture(sources=some, **mixture), ROWS, measure=measure)


def rows(built: Build, name: str = "train") -> list[dict[str, Any]]:
    with pa.OSFile(str(built.folder / f"{name}.arrow")) as file:
        table: list[dict[str, Any]] = pa.ipc.open_stream(file).read_all().to_pylist()
    return table


def questions(built: Build, name: str = "train") -> list[str]:
    return [row["messages"][0]["content"] for row in rows(built, name)]


def problems(error: DataError) -> str:
    return "\n".join(map(str, error.problems))


def test_every_row_says_where_it_came_from(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", [*chats(3), {"messages": []}, *chats(3, 10)])

    built = mixed("a.jsonl", on_bad_rows="skip")

    assert {(row["place"], row["messages"][0]["content"]) for row in rows(built)} == {
        (0, "q0"), (1, "q1"), (2, "q2"), (4, "q10"), (5, "q11"), (6, "q12"),
    }  # fmt: skip
    assert built.report["sources"][0]["files"] == [["a.jsonl", 0]]


def test_equal_rows_of_a_source_stay_once_and_the_others_are_kept_to_look_at(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", [*chats(3), *chats(2)])

    built = mixed("a.jsonl", clean=Clean(exact=True))

    assert sorted(questions(built)) == ["q0", "q1", "q2"]
    assert [(row["place"], row["step"], row["why"]) for row in rows(built, "dropped")] == [
        (3, "exact duplicate", "repeats a.jsonl:1"),
        (4, "exact duplicate", "repeats a.jsonl:2"),
    ]
    assert built.report["cleaned"]["steps"] == {"exact duplicate": 2}
    (source,) = built.report["sources"]
    assert (source["read"], source["available"], source["kept"]) == (5, 3, 3)
    assert source["dropped"] == {"exact duplicate": 2}


def test_of_rows_that_sources_share_the_first_sources_stay(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", chats(3))
    jsonl("b.jsonl", chats(4, 1))

    built = mixed("a.jsonl", "b.jsonl", clean=Clean(exact=True))
    apart = mixed("a.jsonl", "b.jsonl", clean=Clean(exact=True, across=False))

    assert sorted((row["source"], row["messages"][0]["content"]) for row in rows(built)) == [
        (0, "q0"), (0, "q1"), (0, "q2"), (1, "q3"), (1, "q4"),
    ]  # fmt: skip
    assert apart.num_train == 7


def test_rows_to_evaluate_on_are_never_trained_on(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", chats(10))
    jsonl("e.jsonl", chats(2, 8))

    built = mixed("a.jsonl", eval=(Source(path="e.jsonl"),), clean=Clean(exact=True))

    assert questions(built, "eval") == ["q8", "q9"]
    assert sorted(questions(built)) == [f"q{number}" for number in range(8)]


def test_what_another_source_repeats_does_not_change_which_rows_are_chosen(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", chats(100))
    jsonl("b.jsonl", chats(50))
    alone = mixed(Source(path="a.jsonl", fraction=0.3), clean=Clean(exact=True))

    beside = mixed(Source(path="a.jsonl", fraction=0.3), "b.jsonl", clean=Clean(exact=True))

    assert [row["messages"][0]["content"] for row in rows(beside) if row["source"] == 0] == questions(alone)


def test_rows_that_repeat_on_purpose_are_no_duplicates(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", chats(10))
    jsonl("b.jsonl", chats(5, 20))

    built = mixed(Source(path="a.jsonl", repeat=2.5), "b.jsonl", clean=Clean(exact=True))

    assert built.num_train == 30
    assert (built.report["sources"][0]["unique"], built.report["sources"][0]["kept"]) == (10, 25)


def test_the_ancestors_order_is_otherwise_as_it_was(jsonl: Jsonl) -> None:
    some = chats(30)
    some[11] = some[4]
    whole = questions(mixed(jsonl("a.jsonl", some), combine="handbook-2023"))

    cleaned = questions(mixed("a.jsonl", combine="handbook-2023", clean=Clean(exact=True)))

    places = [row["place"] for row in rows(mixed("a.jsonl", combine="handbook-2023"))]
    assert cleaned == [question for question, place in zip(whole, places, strict=True) if place != 11]


def test_nearly_equal_rows_go(jsonl: Jsonl) -> None:
    text = "the quick brown fox jumps over the lazy dog while seven wizards watch from the old tower " * 4
    jsonl("a.jsonl", [chat("first", text), chat("first", text + "again"), chat("second", "something else entirely")])

    built = mixed("a.jsonl", clean=Clean(near=0.8))

    assert sorted(questions(built)) == ["first", "second"]
    assert rows(built, "dropped")[0]["why"] == "is much like a.jsonl:1"


def test_limits_count_and_name_what_they_leave_out(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", [chat("short"), chat("x" * 500)])

    built = mixed("a.jsonl", clean=Clean(max_characters=100))

    assert questions(built) == ["short"]
    assert built.report["sources"][0]["dropped"] == {"characters": 1}


def test_a_source_that_nothing_is_left_of_says_which_steps_took_it(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", chats(4))

    with pytest.raises(DataError) as caught:
        mixed("a.jsonl", clean=Clean(min_characters=1000))

    assert "no row is left of 4: 4 characters" in problems(caught.value)


def test_repairs_are_counted_and_save_rows(jsonl: Jsonl) -> None:
    broken = {"messages": [*chat("q", "one")["messages"], {"role": "assistant", "content": "two"}]}
    jsonl("a.jsonl", [broken, *chats(2)])

    built = mixed("a.jsonl", clean=Clean(repair=True))

    joined = next(row for row in rows(built) if row["place"] == 0)
    assert joined["messages"][1]["content"] == "one\n\ntwo"
    assert sum(built.report["sources"][0]["repaired"].values()) == 1


def test_where_keeps_the_rows_it_holds_for(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", [{**chat(f"q{score}"), "score": score} for score in (1, 5, None, 4)])

    built = mixed(Source(path="a.jsonl", where="score >= 4"))

    assert sorted(questions(built)) == ["q4", "q5"]
    assert built.report["sources"][0]["dropped"] == {"where": 2}


def test_a_sources_system_prompt_goes_before_conversations_that_have_none(jsonl: Jsonl) -> None:
    own = {"messages": [{"role": "system", "content": "mine"}, *chat("q")["messages"]]}
    jsonl("a.jsonl", [chat("x"), own])

    built = mixed(Source(path="a.jsonl", system="be kind", shuffle=False), order="concatenated")

    assert [row["messages"][0]["content"] for row in rows(built)] == ["be kind", "mine"]


def _characters() -> Measure:
    def count(batch: pa.RecordBatch) -> Any:
        return np.array([sum(len(turn["content"]) for turn in row) for row in batch.column("messages").to_pylist()])

    return Measure("characters", count)


def test_a_token_budget_is_filled_and_reported(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", [chat(f"q{number:02}", "a" * 7) for number in range(50)])  # ten each

    built = mixed(Source(path="a.jsonl", tokens=123), measure=_characters())

    assert built.num_train == 12
    assert built.report["sources"][0]["tokens"] == 120
    with pytest.raises(DataError) as caught:
        mixed(Source(path="a.jsonl", tokens=123))
    assert "no tokenizer" in problems(caught.value)


def test_shares_temperature_and_order_reach_the_result(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", chats(90))
    jsonl("b.jsonl", chats(30, 100))

    shared = mixed(Source(path="a.jsonl", share=0.5), Source(path="b.jsonl", share=0.5), order="interleaved")

    assert [row["source"] for row in rows(shared)] in ([0, 1] * 30, [1, 0] * 30)
    assert [source["share"] for source in shared.report["sources"]] == [0.5, 0.5]


def test_any_number_of_workers_gives_the_same_bytes(
    jsonl: Jsonl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from align_cli.mix.reading import engines

    jsonl("a.jsonl", [*chats(300), {"messages": []}])
    jsonl("b.jsonl", chats(200, 100))
    mixture = Mixture(
        sources=(Source(path="a.jsonl"), Source(path="b.jsonl")), on_bad_rows="skip", clean=Clean(exact=True, near=0.9)
    )

    alone = build(mixture, ROWS, engine=engines.choose("local", 1, size=0))
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "other"))
    shared = build(mixture, ROWS, engine=engines.choose("local", 2, size=0))

    assert not shared.from_store
    assert shared.digest == alone.digest
    assert shared.report == alone.report
    for name in ("train.arrow", "eval.arrow", "dropped.arrow"):
        assert (shared.folder / name).read_bytes() == (alone.folder / name).read_bytes()


def test_a_file_that_cannot_be_read_is_told_whatever_follows_it(jsonl: Jsonl, tmp_path: Path) -> None:
    noise = [chat(os.urandom(40).hex()) for _ in range(3000)]
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in noise).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    jsonl("a.jsonl", chats(3))

    with pytest.raises(DataError) as caught:
        mixed("cut.jsonl.gz", "a.jsonl")

    assert "cut.jsonl.gz: the gzip stream ends too early" in problems(caught.value)
