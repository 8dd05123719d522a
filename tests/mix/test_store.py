from __future__ import annotations

import os
from pathlib import Path

from align_cli.mix import store


def test_only_finished_mixtures_are_listed_newest_first() -> None:
    root = store.root()
    for number, name in enumerate(("old", "new", "unfinished")):
        (root / name).mkdir(parents=True)
        (root / name / "train.arrow").write_bytes(b"x" * (number + 1))
    for number, name in enumerate(("old", "new")):
        (root / name / store.REPORT).write_text("{}")
        os.utime(root / name, (number, number))

    assert [(entry.digest, entry.size) for entry in store.stored()] == [("new", 4), ("old", 3)]
    assert store.find("old") == root / "old"
    assert store.find("unfinished") is None


def test_an_absent_store_is_an_empty_one(tmp_path: Path) -> None:
    assert store.stored() == []
