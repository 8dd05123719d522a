"""Arrow files of every origin are read like any other: IPC files and streams, and what `save_to_disk` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from align_cli.mix.layout import rows, shapes
from align_cli.mix.reading import read
from align_cli.mix.sources.locate import locate
from align_cli.recipe.schema import Source
from tests.mix.conftest import chats


def questions(**source: Any) -> list[str]:
    found = locate(Source(**source))
    fit = shapes.recognise(found, ("messages",))
    convert = rows.converter(fit, fit.shape)
    return [convert(record.row)[0][0][1] for part in found.parts for file in part.files for record in read.rows(file)]


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_an_ipc_file_and_a_stream_read_the_same(tmp_path: Path, kind: str) -> None:
    import pyarrow as pa

    table = pa.Table.from_pylist(chats(20))
    make = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with pa.OSFile("rows.arrow", "wb") as file, make(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)

    assert questions(path="rows.arrow") == [f"q{number}" for number in range(20)]


@pytest.mark.slow
def test_saved_sets_are_read_as_they_were_saved(tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    made = datasets.Dataset.from_list(chats(20))
    made.save_to_disk("sharded", num_shards=3)
    chosen = made.shuffle(seed=1).select(range(5))
    chosen.save_to_disk("chosen")
    datasets.DatasetDict(train=made, test=made.select([7, 2])).save_to_disk("splits")

    assert questions(path="sharded") == [f"q{number}" for number in range(20)]
    assert questions(path="chosen") == [row["messages"][0]["content"] for row in chosen]
    assert len(questions(path="splits")) == 20
    assert questions(path="splits", split="test") == ["q7", "q2"]
