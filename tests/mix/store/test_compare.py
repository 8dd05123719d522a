from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli import files
from align_cli.errors import UsageError
from align_cli.mix.build import Build, build
from align_cli.mix.exports import export
from align_cli.mix.spools import spool
from align_cli.mix.store import row_hashes
from align_cli.mix.store.compare import _Common, compare
from align_cli.recipe.schema import Mixture, Source
from tests.mix.conftest import chat, chats

Jsonl = Callable[[str, Iterable[Any]], str]


def built(*sources: str | Source, **parameters: Any) -> Build:
    as_sources = tuple(Source(path=one) if isinstance(one, str) else one for one in sources)
    return build(Mixture(sources=as_sources, **parameters), ("messages",))


def hashes(rows: Sequence[tuple[Any, ...]], shape: str = "messages") -> list[int]:
    found = row_hashes._hashes(spool.arrays(rows, shape))
    return [int.from_bytes(one, "little") for one in found]


def common(a: Sequence[int], b: Sequence[int]) -> _Common:
    """What rows with these hashes have in common."""
    sides = []
    for values in (a, b):
        zeros = np.zeros(len(values), np.int64)
        sides.append(row_hashes.Rows(np.array(values, np.uint64), zeros.astype(np.int16), zeros))
    return _Common.of(*sides)


def test_a_mixture_is_the_same_as_itself(jsonl: Jsonl) -> None:
    made = built(jsonl("a.jsonl", chats(50)), held_out=5)

    found = compare(made.folder, made.folder)

    assert found["same"]
    assert found["parameters"] == []
    assert found["splits"]["train"] == {"a": 45, "b": 45, "only_a": 0, "only_b": 0, "both": 45, "same_order": True}
    assert found["examples"] == {"only_a": [], "only_b": []}
    assert json.loads(json.dumps(found)) == found


def test_rows_that_only_one_has_are_counted_for_each_source_and_shown(jsonl: Jsonl) -> None:
    first = built(jsonl("a.jsonl", chats(10)), jsonl("b.jsonl", chats(10, 100)))
    second = built("a.jsonl", jsonl("b.jsonl", chats(12, 105)), jsonl("c.jsonl", chats(3, 900)))

    found = compare(first.folder, second.folder)

    assert found["splits"]["train"] | {"same_order": None} == {
        "a": 20,
        "b": 25,
        "only_a": 5,
        "only_b": 10,
        "both": 15,
        "same_order": None,
    }
    counts = [
        (one["a"], one["b"], *(one["train"][key] for key in ("only_a", "only_b", "both"))) for one in found["sources"]
    ]
    assert counts == [("a.jsonl", "a.jsonl", 0, 0, 10), ("b.jsonl", "b.jsonl", 5, 7, 5), (None, "c.jsonl", 0, 3, 0)]
    example = found["examples"]["only_a"][0]
    assert example["source"] == "b.jsonl"
    assert example["text"] == f"user: q{100 + example['place']} assistant: a"
    assert example["where"] == f"b.jsonl, row {example['place'] + 1}"


def test_a_source_under_another_name_is_paired_by_its_content(jsonl: Jsonl) -> None:
    first = built(jsonl("a.jsonl", chats(10)), jsonl("b.jsonl", chats(10, 100)))
    Path("b.jsonl").rename("z.jsonl")

    found = compare(first.folder, built("z.jsonl", "a.jsonl", seed=1).folder)

    assert [(one["a"], one["b"], one["train"]["both"]) for one in found["sources"]] == [
        ("b.jsonl", "z.jsonl", 10),
        ("a.jsonl", "a.jsonl", 10),
    ]


def test_another_seed_gives_the_same_rows_in_another_order(jsonl: Jsonl) -> None:
    first, second = (built(jsonl("a.jsonl", chats(50)), seed=seed) for seed in (1, 2))

    found = compare(first.folder, second.folder)

    assert (found["splits"]["train"]["both"], found["splits"]["train"]["same_order"], found["same"]) == (
        50,
        False,
        False,
    )
    assert [change["text"] for change in found["parameters"]] == ["seed: 1 -> 2"]


def test_the_order_is_that_of_the_rows_that_both_have() -> None:
    assert common([1, 2, 3, 4], [1, 3, 5, 4]).same_order
    assert not common([1, 2, 3, 4], [1, 4, 3]).same_order
    assert common([1, 2, 1], [1, 2]).same_order  # of what occurs more often here, the first count


def test_a_row_that_moved_to_the_other_split_is_said(jsonl: Jsonl) -> None:
    first = built(jsonl("a.jsonl", chats(20)))
    second = built("a.jsonl", held_out=4)

    found = compare(first.folder, second.folder)

    assert found["moved"] == {"train_to_eval": 4, "eval_to_train": 0}
    assert found["splits"]["eval"]["only_b"] == 4


def test_a_row_counts_as_often_as_it_occurs(jsonl: Jsonl) -> None:
    first = built(jsonl("a.jsonl", [chat("x"), chat("x"), chat("y")]))
    second = built(jsonl("a.jsonl", [chat("x"), chat("y"), chat("y"), chat("z")]))

    train = compare(first.folder, second.folder)["splits"]["train"]

    assert (train["only_a"], train["only_b"], train["both"]) == (1, 2, 2)


@given(st.lists(st.integers(0, 5), max_size=30), st.lists(st.integers(0, 5), max_size=30))
def test_counts_are_those_of_multisets(a: list[int], b: list[int]) -> None:
    found = common(a, b)

    assert found.both == (Counter(a) & Counter(b)).total()
    assert Counter(found.rows_a.tolist()) == Counter(a) - Counter(b)
    assert Counter(found.rows_b.tolist()) == Counter(b) - Counter(a)
    assert common(a, a).is_same


def test_a_mixture_of_an_older_version_is_compared_by_what_its_report_says(jsonl: Jsonl) -> None:
    first, second = (built(jsonl("a.jsonl", chats(9)), seed=seed) for seed in (1, 2))
    report = files.read_json(first.folder / "mixture.json")
    del report["inputs"]
    files.write_json(first.folder / "mixture.json", report)

    found = compare(first.folder, second.folder)

    assert [change["text"] for change in found["parameters"]] == ["seed: 1 -> 2"]


def test_an_exported_mixture_is_the_same_as_the_stored_one(jsonl: Jsonl, tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    called = chat("q")
    called["messages"][1]["tool_calls"] = [call]
    made = built(jsonl("a.jsonl", [*chats(20), called]), jsonl("b.jsonl", chats(5, 50)), held_out=3)
    export.export(made, export.target_of(f"{tmp_path / 'out'}/"))

    found = compare(made.folder, tmp_path / "out")

    assert found["same"], found["examples"]
    assert [one["train"]["both"] + one["eval"]["both"] for one in found["sources"]] == [21, 5]


def test_a_folder_without_a_mixture_is_an_error(jsonl: Jsonl, tmp_path: Path) -> None:
    made = built(jsonl("a.jsonl", chats(3)))

    with pytest.raises(UsageError, match="there is no mixture in it"):
        compare(made.folder, tmp_path)


def test_rows_that_cannot_be_read_are_an_error(jsonl: Jsonl) -> None:
    made = built(jsonl("a.jsonl", chats(3)))
    stream = made.folder / "train.arrow"
    stream.write_bytes(stream.read_bytes()[:200])

    with pytest.raises(UsageError, match="its rows cannot be read"):
        compare(made.folder, made.folder)


# Hashes

TURN = ("user", "hello", None)


def row(turns: Sequence[tuple[str, str, str | None]], tools: str | None = None, kwargs: str | None = None) -> Any:
    return (list(turns), tools, kwargs)


def test_rows_that_differ_anywhere_have_different_hashes() -> None:
    rows = [
        row([TURN]),
        row([TURN, TURN]),
        row([("user", "hell", None)]),
        row([("userh", "ello", None)]),
        row([("user", "hello", '{"name": "x"}')]),
        row([TURN, ("user", "", None)]),
        row([TURN], tools="[]"),
        row([TURN], tools="[1]"),
        row([TURN], kwargs='{"a": 1}'),
        row([("user", "", None), ("user", "hello", None)]),
        row([("user", "hello", None), ("user", "", '{"name": "x"}')]),
        row([("user", "hello", '{"name": "x"}'), ("user", "", None)]),
    ]

    assert len(set(hashes(rows))) == len(rows)


def test_the_spelling_of_json_does_not_count() -> None:
    one = row([("user", "a", '{"x": 1, "y": null, "z": {"b": 2, "a": "[1]"}}')], kwargs='{"p": 1, "q": 2}')
    two = row([("user", "a", '{"z": {"a": [1], "b": 2}, "x": 1}')], kwargs='{"q": 2, "p": 1}')

    assert hashes([one]) == hashes([two])


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
TURNS = st.lists(st.tuples(TEXT, TEXT, st.none() | st.just('{"name": "x"}')), max_size=3)


@given(st.lists(st.tuples(TURNS, st.none() | TEXT, st.none()), min_size=1, max_size=8))
def test_equal_rows_have_equal_hashes_however_they_are_batched(rows: list[Any]) -> None:
    whole = hashes(rows)
    batch = spool.arrays(rows, "messages")
    cut = random.Random(0).randrange(len(rows) + 1)
    pieces = [batch.slice(0, cut), batch.slice(cut)]

    again = [int.from_bytes(one, "little") for piece in pieces for one in row_hashes._hashes(piece)]

    assert again == whole
    for one, mine in zip(rows, whole, strict=True):
        for other, theirs in zip(rows, whole, strict=True):
            assert (one == other) == (mine == theirs)


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ("text", ("hello",)),
        ("pair_text", ("p", "c")),
        ("preference_text", ("p", "c", "r")),
        ("unpaired_text", ("p", "c", True)),
        ("prompt_text", ("p",)),
    ],
)
def test_rows_of_every_text_shape_are_told_apart(shape: str, value: tuple[Any, ...]) -> None:
    changed = [
        tuple(
            (not one if isinstance(one, bool) else f"{one}!") if number == place else one
            for number, one in enumerate(value)
        )
        for place in range(len(value))
    ]

    assert len(set(hashes([value, *changed], shape))) == len(value) + 1


def test_columns_that_are_empty_count_as_absent() -> None:
    with_columns = spool.arrays([row([TURN])], "messages")
    bare = pa.RecordBatch.from_arrays([with_columns.column("messages")], names=["messages"])

    assert list(row_hashes._hashes(with_columns)) == list(row_hashes._hashes(bare))
