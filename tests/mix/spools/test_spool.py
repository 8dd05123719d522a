from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.mix.layout.columns import COLUMNS
from align_cli.mix.order.arithmetic import Order
from align_cli.mix.spools import shuffle, spool
from align_cli.mix.spools.content import ContentDigest

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MAYBE = st.none() | TEXT
TURNS = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), MAYBE, MAYBE), min_size=1, max_size=3)
ROWS = st.lists(st.tuples(TURNS, MAYBE, st.none()), max_size=12)


def row_of(number: int, size: int = 20) -> tuple[Any, ...]:
    return [("user", f"{number} " + "x" * size, None), ("assistant", "a", None)], None, None


def spooled(folder: Path, name: str, rows: list[tuple[Any, ...]], shape: str = "messages", cut: int = 4) -> spool.Spool:
    """A spool of two files, of batches of `cut` rows."""
    files = []
    for part, some in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
        writer = spool.SpoolWriter(folder / f"{name}-{part}", shape)
        for start in range(0, len(some), cut):
            writer.append(spool.arrays(some[start : start + cut], shape))
        files.append(writer.close())
    return spool.Spool(files)


def order_of(pairs: list[tuple[int, int]]) -> Order:
    import numpy as np

    both = np.array(pairs, np.int64).reshape(-1, 2)
    return Order(both[:, 0], both[:, 1])


def written(spools: list[spool.Spool], pairs: list[tuple[int, int]], folder: Path, **options: Any) -> tuple[Any, str]:
    import numpy as np
    import pyarrow as pa

    places = [np.arange(one.num_rows) * 10 for one in spools]
    path = folder / "out.arrow"
    options = {"shape": "messages", "places": places, "work": folder} | options
    digest = spool.write_ordered(spools, order_of(pairs), path, **options)
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_stream(file).read_all(), digest


def dicts(rows: list[tuple[Any, ...]], extra: bool) -> list[list[dict[str, Any]]]:
    keys = ("role", "content", "extra") if extra else ("role", "content")
    return [[dict(zip(keys, turn, strict=False)) for turn in row[0]] for row in rows]


@settings(deadline=None)
@given(data=st.data(), sources=st.lists(ROWS, min_size=1, max_size=3), bucket=st.sampled_from([1, 60, 300, 1 << 20]))
def test_any_order_of_any_rows_is_what_naive_indexing_gives(data: Any, sources: list[Any], bucket: int) -> None:
    every = [(source, row) for source, rows in enumerate(sources) for row in range(len(rows))]
    pairs = data.draw(st.lists(st.sampled_from(every), max_size=40)) if every else []
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(shuffle, "_BUCKET_BYTES", bucket)
        patch.setattr(shuffle, "_DEAL_BYTES", 100)
        patch.setattr(shuffle, "_FAN", 3)
        folder = Path(name)
        spools = [spooled(folder, str(number), rows) for number, rows in enumerate(sources)]
        table, _ = written(spools, pairs, folder)
        left = [path.name for path in folder.iterdir() if path.name.startswith("bucket")]

    wanted = [sources[source][row] for source, row in pairs]
    extra = any(turn[2] is not None for rows in sources for row in rows for turn in row[0])
    tools = any(row[1] is not None for rows in sources for row in rows)
    assert table.column_names == ["messages", *(["tools"] if tools else []), "source", "place"]
    assert table.column("messages").to_pylist() == dicts(wanted, extra)
    assert table.column("source").to_pylist() == [source for source, _ in pairs]
    assert table.column("place").to_pylist() == [row * 10 for _, row in pairs]
    if tools:
        assert table.column("tools").to_pylist() == [row[1] for row in wanted]
    assert not left


@settings(deadline=None)
@given(ROWS, st.integers(1, 5), st.integers(1, 5))
def test_the_digest_says_nothing_of_how_rows_lie_in_batches(rows: list[Any], one: int, other: int) -> None:
    whole = spool.arrays(rows, "messages")
    digests = set()
    for cut in (one, other):
        with ContentDigest(whole.schema) as digest:
            for start in range(0, len(rows), cut):
                digest.add(whole.slice(start, cut))
            digests.add(digest.hexdigest())
    with ContentDigest(whole.schema) as digest:
        digest.add(spool.arrays(rows, "messages"))
        digests.add(digest.hexdigest())
    assert len(digests) == 1


@settings(deadline=None)
@given(st.lists(ROWS, min_size=2, max_size=2, unique_by=repr))
def test_other_rows_have_another_digest(both: list[Any]) -> None:
    found = []
    for rows in both:
        batch = spool.arrays(rows, "messages")
        with ContentDigest(batch.schema) as digest:
            digest.add(batch)
            found.append(digest.hexdigest())
    assert found[0] != found[1]


def test_what_lies_under_a_null_does_not_reach_the_digest() -> None:
    import pyarrow as pa

    plain = pa.record_batch({"a": pa.array([None, "x"]), "b": pa.array([None, 1]), "c": pa.array([None, True])})
    filled = {"a": pa.array(["secret", "x"]), "b": pa.array([7, 1]), "c": pa.array([True, True])}
    buffers = {name: [plain.column(name).buffers()[0], *array.buffers()[1:]] for name, array in filled.items()}
    hidden = pa.record_batch(
        {name: pa.Array.from_buffers(filled[name].type, 2, some) for name, some in buffers.items()}
    )
    assert hidden.equals(plain)
    digests = []
    for batch in (plain, hidden):
        with ContentDigest(batch.schema) as digest:
            digest.add(batch)
            digests.append(digest.hexdigest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("shape", COLUMNS)
def test_every_shape_goes_through_a_spool_unchanged(shape: str, tmp_path: Path) -> None:
    values = {"turns": [("user", "é\0", None)], "text": "t", "flag": True}
    full = tuple(values[form] for _, form in COLUMNS[shape])
    table, _ = written([spooled(tmp_path, "s", [full, full], shape)], [(0, 1)], tmp_path, shape=shape)

    assert table.drop(["source", "place"]).to_pylist() == [
        {
            name: [{"role": "user", "content": "é\0"}] if form == "turns" else values[form]
            for name, form in COLUMNS[shape]
        }
    ]


def test_half_a_surrogate_pair_is_refused_when_rows_become_arrays() -> None:
    with pytest.raises(UnicodeEncodeError):
        spool.arrays([([("user", "\ud800", None)], None, None)], "messages")


def test_labels_are_columns_in_the_final_order(tmp_path: Path) -> None:
    import pyarrow as pa

    rows = [row_of(number) for number in range(2500)]
    pairs = [(0, row) for row in reversed(range(2500))]
    table, _ = written(
        [spooled(tmp_path, "s", rows, cut=1000)],
        pairs,
        tmp_path,
        labels={"why": pa.array([str(n) for n in range(2500)])},
    )
    assert table.column("why").to_pylist() == [str(number) for number in range(2500)]
    assert table.column("messages")[3].as_py()[0]["content"].startswith("2496 ")


def test_finished_streams_have_batches_small_enough_to_read_one_by_one(tmp_path: Path) -> None:
    rows = [row_of(number) for number in range(2500)]
    table, _ = written([spooled(tmp_path, "s", rows, cut=1000)], [(0, row) for row in range(2500)], tmp_path)
    assert max(len(chunk) for chunk in table.column("place").chunks) == 1000


def test_an_order_of_no_rows_is_an_empty_stream_with_columns(tmp_path: Path) -> None:
    table, digest = written([spooled(tmp_path, "s", [row_of(1)])], [], tmp_path)
    assert (table.num_rows, table.column_names) == (0, ["messages", "source", "place"])
    assert len(digest) == 64


def test_buckets_hold_as_many_bytes_wherever_the_large_rows_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many small rows, then some large ones, in reading order: a bucket by rows would hold all the large ones."""
    spools = [
        spooled(tmp_path, "small", [row_of(number) for number in range(3000)], cut=100),
        spooled(tmp_path, "large", [row_of(number, 10_000) for number in range(100)], cut=5),
    ]
    held: list[int] = []
    in_order = shuffle._in_order

    def watched(batches: list[Any]) -> Any:
        held.append(sum(batch.nbytes for batch in batches))
        return in_order(batches)

    monkeypatch.setattr(shuffle, "_in_order", watched)
    monkeypatch.setattr(shuffle, "_BUCKET_BYTES", 100_000)
    pairs = [(0, row) for row in range(3000)] + [(1, row) for row in range(100)]
    written(spools, pairs, tmp_path)
    assert len(held) > 8
    assert max(held) < 150_000


def test_an_optional_column_is_kept_when_any_spool_fills_it(tmp_path: Path) -> None:
    turns = [("user", "u", None)]
    spools = [
        spooled(tmp_path, "a", [(turns, None, None)]),
        spooled(tmp_path, "b", [(turns, "[]", None)]),
    ]
    table, _ = written(spools, [(1, 0), (0, 0)], tmp_path)
    assert table.column("tools").to_pylist() == ["[]", None]


@pytest.fixture(autouse=True)
def nothing_of_the_mixture_is_left_in_a_thread() -> Iterator[None]:
    import threading

    before = threading.active_count()
    yield
    assert threading.active_count() == before
