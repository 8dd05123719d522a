"""Rows of one file, streamed: (place, row, fault). `place` is the line, or the row's number where lines mean nothing.

A fault is why this one row cannot be read; the row is then None and reading goes on. What spoils the whole file
(truncated gzip, UTF-16, nothing in it) is a DataError that names the file and, where known, the line.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, Any, NamedTuple

from align_cli.mix.reading import columnar, json_stream
from align_cli.mix.reading.json_lines import is_list, without_mark
from align_cli.mix.reading.json_values import Decoder, value
from align_cli.mix.sources import opening
from align_cli.mix.sources.formats import File


class Record(NamedTuple):
    """One row as the file spells it, or why there is none."""

    place: int
    row: Any
    fault: str = ""
    twice: bool = False
    """Whether some object in it names a key twice; see `json_values.Twice`."""


#: How a .txt file becomes rows; `lines` unless the source's layout names another.
TEXT_UNITS = ("lines", "paragraphs", "documents")
#: Formats whose places are line numbers.
_BY_LINE = ("jsonl", "json", "csv", "tsv", "txt")


def rows(file: File, *, text_unit: str = "lines") -> Iterator[Record]:
    """The rows of a file in order, without holding more than a little of it in memory.

    Raises:
        DataError: the file as a whole cannot be read, or changed while it was read, or holds no row.
    """
    before = opening.stamp(file)
    empty = True
    for record in _READERS[file.format](file, text_unit):
        empty = False
        yield record
    if opening.stamp(file) != before:
        raise opening.spoilt(file, "the file changed while it was read", "run again when nothing writes to it")
    if empty:
        raise opening.empty(file)


def hint_for(file: File, fault: str) -> str:
    """What to do about a row's fault."""
    return opening.recode(file) if fault.startswith("not UTF-8") else ""


def place_of(file: File, place: int, number: int | None = None) -> str:
    """What messages call a row: `file:line`, or `file row N` for binary files (N counts from 1).

    `number` is the row's number in the file from 1: the rows of a JSON list may all stand on one line.
    """
    if file.format == "json" and number is not None:
        return f"{file.shown}:{place} (row {number})"
    return f"{file.shown}:{place}" if file.format in _BY_LINE else f"{file.shown} row {place}"


def _jsonl(file: File, text_unit: str) -> Iterator[Record]:
    decoder = Decoder()
    with opening.opened(file) as stream:
        listed = is_list(stream)  # a JSON list with the wrong ending
        for number, line in enumerate(() if listed else stream, 1):
            if text := (without_mark(line) if number == 1 else line).strip():
                row, fault = value(decoder, text)
                yield Record(number, row, fault, decoder.twice())
    if listed:
        yield from _json(file, text_unit)


def _json(file: File, text_unit: str) -> Iterator[Record]:
    decoder = Decoder()
    try:
        with opening.text(file) as stream:
            for line, row in json_stream.elements(stream, decoder):
                yield Record(line, row, twice=decoder.twice())
    except json_stream.ManyDocuments:
        yield from _jsonl(file, text_unit)
    except json_stream.NotRowsError as error:
        hint = 'give a list of rows, {"data": [rows]} or one row a line'
        raise opening.spoilt(file, str(error), hint) from None
    except json_stream.BrokenError as error:
        raise opening.spoilt(
            file, f"not JSON: {error}", "mend the file there; nothing after it can be read", error.line
        ) from None


def _csv(file: File, text_unit: str) -> Iterator[Record]:
    csv.field_size_limit(2**31 - 1)  # the default stops at 128 KiB a cell
    with opening.text(file, newline="") as stream:
        first = stream.readline()
        if not first.strip():
            return
        table = csv.reader(chain([first], stream), delimiter=_delimiter(first, "\t" if file.format == "tsv" else ","))
        try:
            header = [name.strip() for name in next(table)]
            twice = [name for index, name in enumerate(header) if name in header[:index]]
            if twice:
                raise opening.spoilt(file, f'the column "{twice[0]}" is named twice', "rename one of them", 1)
            line = table.line_num + 1
            for cells in table:
                if len(cells) == len(header):
                    yield Record(line, dict(zip(header, cells, strict=True)))
                elif cells:
                    yield Record(line, None, f"{len(cells)} fields, but the header names {len(header)}")
                line = table.line_num + 1
        except csv.Error as error:
            raise opening.spoilt(file, f"not CSV: {error}", "", table.line_num) from None


def _delimiter(header: str, usual: str) -> str:
    """`usual`, or what plainly separates the header when `usual` does not occur in it (tabs in a .csv)."""
    if usual in header:
        return usual
    return max((usual, "\t", ";"), key=header.count)


def _txt(file: File, text_unit: str) -> Iterator[Record]:
    with opening.text(file) as stream:
        if text_unit == "documents":
            if text := stream.read():
                yield Record(1, {"text": text})
        elif text_unit == "paragraphs":
            yield from _paragraphs(stream)
        else:
            for number, line in enumerate(stream, 1):
                yield Record(number, {"text": line.rstrip("\n")})


def _paragraphs(stream: IO[str]) -> Iterator[Record]:
    start = 0
    lines: list[str] = []
    for number, line in enumerate(chain(stream, [""]), 1):
        if line.strip():
            start = start if lines else number
            lines.append(line.rstrip("\n"))
        elif lines:
            yield Record(start, {"text": "\n".join(lines)})
            lines = []


def _columnar(file: File, text_unit: str) -> Iterator[Record]:
    return (Record(number, row, fault) for number, row, fault in columnar.rows(file))


_READERS: dict[str, Callable[[File, str], Iterator[Record]]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "tsv": _csv,
    "txt": _txt,
    "parquet": _columnar,
    "arrow": _columnar,
}
