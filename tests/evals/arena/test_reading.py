from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import UsageError
from align_cli.evals.arena import battles, logs, reading
from tests.evals.arena.building import battle


def test_a_battle_in_two_files_counts_once(tmp_path: Path) -> None:
    one, other = battle(), battle()
    battles.write(tmp_path / "1.jsonl", [one])
    battles.write(tmp_path / "2.jsonl", [one, other])

    log = reading.read([tmp_path / "1.jsonl", tmp_path / "2.jsonl"])

    assert log.battles == [one, other]
    assert log.left_out == {reading.TWICE: 1}


def test_logs_that_number_their_battles_alike_are_kept_apart(tmp_path: Path) -> None:
    logs.write(tmp_path / "1.jsonl", [battle(id="1", winner="tie")])
    logs.write(tmp_path / "2.jsonl", [battle(id="1", winner="model_a")])

    log = reading.read([tmp_path / "1.jsonl", tmp_path / "2.jsonl"])

    assert sorted(one.winner for one in log.battles) == ["model_a", "tie"]
    assert len({one.id for one in log.battles}) == 2


@pytest.mark.parametrize("name", ["missing.jsonl", "folder", "notes.txt"])
def test_a_place_without_battles_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("x")

    with pytest.raises(UsageError, match=name):
        reading.read([tmp_path / name])


def test_the_arenas_folder_and_its_database_are_read_alike(tmp_path: Path) -> None:
    kept = [battle(tstamp=1.0, rater="ann"), battle(tstamp=2.0, rater="bo", winner="both_bad")]

    new = reading.keep(tmp_path / "arena" / "battles.db", kept)
    again = reading.keep(tmp_path / "arena" / "battles.db", kept)

    assert (new, again) == (2, 0)
    assert reading.read([tmp_path / "arena"]).battles == kept
    assert reading.read([tmp_path / "arena" / "battles.db"]).battles == kept
