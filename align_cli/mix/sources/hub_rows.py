"""The first rows of a data set on the Hub, without the rest of it: read as a stream and kept as a file in the cache."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.mix.faults import fault
from align_cli.mix.sources import hub
from align_cli.mix.sources.formats import File
from align_cli.mix.sources.locate import Located, Part, parse_split
from align_cli.mix.sources.splits import Slice
from align_cli.recipe.schema import Source

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ROWS = "rows.jsonl"


def fetch(located: Located, commit: str) -> Located:
    """The source with its first `rows` rows in a file; the same commit is read once.

    `commit` is what the Hub says the revision is; "" when it cannot be asked: the one seen last is used then.

    Raises:
        DataError: the Hub cannot be reached and the rows are not in the cache, or there is no such split.
    """
    source = located.source
    terms = parse_split(source)
    if source.rows is None and (not terms or any(term.stop is None for term in terms)):
        raise fault(
            source.label, "streaming: true reads the first rows only; how many?", "rows: 1000, or streaming: false"
        )
    asked, commit = bool(commit), commit or _remembered(source)
    inputs = {
        "hub": source.path,
        "config": source.config,
        "commit": commit,
        "data_files": list(source.data_files),
        "split": source.split,
        "rows": source.rows,
    }
    folder = files.cache_root() / "hub" / files.digest_of(inputs)

    def make(work: Path) -> None:
        _write(work / _ROWS, _stream(source, commit))
        files.write_json(work / "source.json", inputs)

    if not folder.is_dir() and not asked:  # `datasets` would take any commit that it has at hand
        raise fault(source.label, "the Hub cannot be reached, and these rows are not in the cache", "check the network")
    files.build_once(folder, make)
    _remember(source, commit)
    file = File(folder / _ROWS, "jsonl", f"{source.label} {source.split or ''}".rstrip())
    return replace(located, parts=(Part((file,), Slice("")),), identity=inputs)


def _stream(source: Source, commit: str) -> Iterator[Mapping[str, Any]]:
    """The first rows of the source's splits, in the order in which the split expression names them."""
    import datasets

    found: Any = datasets.load_dataset(
        source.path,
        source.config,
        revision=commit,
        data_files=list(source.data_files) or None,
        streaming=True,
    )
    names = list(found)
    left = source.rows if source.rows is not None else -1
    for term in parse_split(source) or (Slice(hub.default_split(source, names)),):
        hub.check_split(source, term.name, names)
        start, stop = term.start or 0, term.stop
        asked = [
            limit
            for limit in (left if left >= 0 else None, None if stop is None else stop - start)
            if limit is not None
        ]
        for row in islice(found[term.name], start, start + max(min(asked), 0)):
            left -= 1
            yield row
        if left == 0:
            return


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """What JSON has no word for: dates and times as text; a picture or bytes are no use in a row of text."""
    return value.isoformat() if hasattr(value, "isoformat") else None


def _reference(source: Source) -> Path:
    return files.cache_root() / "hub" / "commits" / f"{files.digest_of([source.path, source.revision])}.json"


def _remember(source: Source, commit: str) -> None:
    path = _reference(source)
    if not path.exists() or files.read_json(path) != commit:
        files.write_json(path, commit)


def _remembered(source: Source) -> str:
    """The commit that a revision was when it was read last, or that it simply is."""
    if source.revision and _COMMIT.fullmatch(source.revision):
        return source.revision
    try:
        return str(files.read_json(_reference(source)))
    except (OSError, ValueError):
        return ""
