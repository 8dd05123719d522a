"""Stretches of a file that can be read apart, so that several processes share one large file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from itertools import pairwise

from align_cli.errors import DataError
from align_cli.mix.reading import columnar, json_lines, json_stream
from align_cli.mix.sources import opening
from align_cli.mix.sources.formats import File


@dataclass(frozen=True, slots=True)
class Span:
    """Part of one file: bytes of JSON Lines, row groups of Parquet, record batches of an Arrow file.

    `stop` is -1 for a file that is read as a whole. `stamp` is the file's when it was planned, by which `mapped.read`
    notices that it changed; None where the file could not be looked at, which reading then explains.
    """

    file: File
    start: int = 0
    stop: int = -1
    stamp: tuple[int, ...] | None = None


def spans(file: File, target_bytes: int = 64 << 20) -> list[Span]:
    """The file in reading order, in spans of about `target_bytes` where it can be cut; the first starts at 0.

    Nothing is raised for a bad file: it is one span, and reading it says what is wrong.
    """
    try:
        stamp = opening.stamp(file)
        file = _by_content(file)
        borders = _borders(file, target_bytes, stamp[0])
    except DataError:
        return [Span(file)]
    if len(borders) <= 2:
        return [Span(file, stamp=stamp)]
    return [Span(file, start, stop, stamp) for start, stop in pairwise(borders)]


def _by_content(file: File) -> File:
    """The file as JSON Lines when it is that under the name .json; else unchanged."""
    if file.format != "json":
        return file
    with opening.opened(file) as stream:
        start = json_lines.without_mark(stream.read(1 << 16)).lstrip()
    line, _, rest = start.partition(b"\n")
    if rest.lstrip()[:1] != b"{" or json_stream.WRAPPED.match(start.decode("utf-8", "replace")):
        return file
    try:
        first = json.loads(line)
    except ValueError:  # also of a wrong encoding
        return file
    return replace(file, format="jsonl") if isinstance(first, dict) else file


def _borders(file: File, target_bytes: int, size: int) -> list[int]:
    """Where the spans begin and the last one ends; fewer than three where it is one span."""
    packed = file.path.name.lower().endswith(".gz")
    if packed or size <= target_bytes:
        return []
    count = -(-size // target_bytes)
    if file.format == "jsonl":
        return _line_borders(file, count, size)
    if file.format in ("parquet", "arrow"):
        sizes = columnar.part_sizes(file)
        share = max(1, -(-sum(sizes) // count))
        borders, filled = [0], 0
        for number, part in enumerate(sizes, 1):
            filled += part
            if filled >= share or number == len(sizes):
                borders.append(number)
                filled = 0
        return borders
    return []


def _line_borders(file: File, count: int, size: int) -> list[int]:
    with opening.opened(file) as stream:
        if json_lines.is_list(stream):
            return []
        borders = [0]
        for number in range(1, count):
            stream.seek(size * number // count - 1)
            stream.readline()
            if borders[-1] < (border := stream.tell()) < size:
                borders.append(border)
    return [*borders, os.stat(file.path).st_size]
