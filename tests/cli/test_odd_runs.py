"""Run folders whose files are JSON, but not what this version writes: of a later one, or edited by hand."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from align_cli.cli import render
from align_cli.runs.reading import compare, story, summary, verify
from align_cli.runs.reading.record import Record
from tests.runs import folders

ODD: list[Any] = [None, 3, "odd", [], ["odd"], {"odd": {"odd": 1}}]
DEEPEST = 3


def places(document: Any, *at: Any) -> Iterator[tuple[Any, ...]]:
    """The place of every value of a tree, down to `DEEPEST`."""
    if at:
        yield at
    if len(at) < DEEPEST:
        entries = document.items() if isinstance(document, dict) else enumerate(document[:1])
        for key, value in entries:
            if isinstance(value, dict | list):
                yield from places(value, *at, key)
            else:
                yield (*at, key)


def changed(document: Any, at: tuple[Any, ...], value: Any) -> Any:
    copied = json.loads(json.dumps(document))
    owner = copied
    for key in at[:-1]:
        owner = owner[key]
    owner[at[-1]] = value
    return copied


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manifest.json", "recipe.json", "plan.json", "preparation.json", "failure-0.json"])
def test_whatever_a_value_is_the_run_is_told_and_drawn(tmp_path: Path, name: str):
    whole = Record(
        folders.finished(tmp_path / "whole", facts={**folders.FACTS, "chain": {"base": {"name": "org/base"}}})
    )
    run = whole.path
    if name not in ("manifest.json", "recipe.json"):
        run = folders.failed(folders.prepared(tmp_path / "half", lines=folders.preferring(4)), message="m", problems=[])
    file = run / "align" / name
    file.chmod(0o644)
    document = json.loads(file.read_text())
    tried = 0

    for at in [at for at in places(document) if at]:
        for value in ODD:
            file.write_text(json.dumps(changed(document, at, value)))
            try:
                tell(run, whole)
            except Exception as cause:
                pytest.fail(f"{name}: {at} = {value!r}: {type(cause).__name__}: {cause}")
            tried += 1

    assert tried >= 18


def tell(run: Path, whole: Record) -> None:
    """Everything that `align runs` prints of a run, short of starting it."""
    view = story.tell(Record(run)) | {"verified": None}
    view["verified"] = [
        {"name": one.name, "verdict": one.verdict, "detail": one.detail} for one in verify.check(Record(run))
    ]
    render.run(view, io.StringIO())
    line = summary.of(run).as_dict()
    listed = {"runs": [line], "places": ["."], "left_out": 0, "unreadable": [], "cut_short": False}
    render.runs(listed, io.StringIO(), now=0.0)
    render.runs_difference(compare.compare(Record(run), whole), io.StringIO())
    json.dumps([view, line], default=str)
