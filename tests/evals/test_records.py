"""Records that are only ever added survive whatever happens to the process that adds them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from align_cli.errors import DataError, UsageError
from align_cli.evals import records
from align_cli.evals.records import Journal, exclusive

ADDING = """
import sys
from pathlib import Path
from align_cli.evals.records import Journal
journal = Journal(Path(sys.argv[1]))
number = len(journal.records)
while True:
    journal.add({"key": str(number), "text": "x" * 5000})
    print(number, flush=True)
    number += 1
"""

HOLDING = """
import sys
from pathlib import Path
from align_cli.evals.records import exclusive
with exclusive(Path(sys.argv[1]), "align eval mtbench judge"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_is_added_is_read_back_in_order(tmp_path):
    journal = Journal(tmp_path / "r.jsonl")

    for key in ("b", "a", "c"):
        journal.add({"key": key, "text": f"é\n{key}"})
    journal.close()

    assert list(records.read(tmp_path / "r.jsonl")) == ["b", "a", "c"]
    assert records.read(tmp_path / "r.jsonl")["a"]["text"] == "é\na"


def test_a_later_record_stands_for_an_earlier_one_in_its_place(tmp_path):
    journal = Journal(tmp_path / "r.jsonl")

    journal.add({"key": "a", "state": "failed"})
    journal.add({"key": "b", "state": "ok"})
    journal.add({"key": "a", "state": "ok"})
    journal.close()

    found = records.read(tmp_path / "r.jsonl")
    assert [(key, record["state"]) for key, record in found.items()] == [("a", "ok"), ("b", "ok")]


def test_no_file_holds_no_records(tmp_path):
    assert records.read(tmp_path / "none.jsonl") == {}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(min_value=0, max_value=200))
def test_half_a_line_at_the_end_is_cut_off_and_nothing_else(tmp_path, cut):
    path = tmp_path / f"{cut}.jsonl"
    whole = b"".join(json.dumps({"key": str(n), "text": "t" * n}).encode() + b"\n" for n in range(5))
    path.write_bytes(whole[: len(whole) - cut])
    before = records.read(path)

    journal = Journal(path)
    journal.add({"key": "new"})
    journal.close()

    assert list(records.read(path)) == [*before, "new"]
    kept = whole[: len(whole) - cut]
    assert len(before) == kept.count(b"\n") + kept.endswith(b"}")  # only the line's end is missing: it is whole


def test_a_line_that_is_no_record_is_named(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"key": "a"}\nnonsense\n{"key": "b"}\n')

    with pytest.raises(DataError, match=r"r\.jsonl:2: this line is no record"):
        records.read(path)


def test_a_full_disk_leaves_no_half_line_before_the_next_record(tmp_path):
    journal = Journal(tmp_path / "r.jsonl")
    journal.add({"key": "a"})
    file = journal._file
    assert file is not None

    class Full:
        """Half of the line fits."""

        def __getattr__(self, name):
            return getattr(file, name)

        def write(self, content):
            file.write(bytes(content)[:7])
            raise OSError(28, "No space left on device")

    journal._file = Full()  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space"):
        journal.add({"key": "b", "text": "long enough"})
    journal._file = file
    journal.add({"key": "c"})

    assert list(records.read(tmp_path / "r.jsonl")) == ["a", "c"]


def test_kill_at_any_moment_loses_nothing_that_was_promised(tmp_path):
    path = tmp_path / "r.jsonl"
    promised = -1
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", ADDING, str(path)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        assert process.stdout is not None
        for _ in range(40):
            promised = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=30)
        whole = [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        promised = int(whole[-1]) if whole else promised

        found = records.read(path)

        assert list(found) == [str(number) for number in range(len(found))]
        assert len(found) >= promised + 1


def test_a_second_process_is_told_who_is_at_work(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        with (
            pytest.raises(UsageError, match=rf"align eval mtbench judge \(process {holder.pid}\) is at work"),
            exclusive(tmp_path, "another"),
        ):
            pass

        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=30)
        with exclusive(tmp_path, "another"):
            held = (tmp_path / ".lock").read_text()
    assert held == f"another (process {os.getpid()})"


def test_all_folders_are_held_or_none(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"

    with exclusive(second, "somebody"):
        with pytest.raises(UsageError, match="somebody"), records.all_exclusive([second, first], "both"):
            pass
        with exclusive(first, "free again"):
            pass

    with records.all_exclusive([first, second, Path(first)], "both"):
        assert "both" in (second / ".lock").read_text()
