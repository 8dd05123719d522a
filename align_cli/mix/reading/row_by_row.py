"""Records become rows one by one: the exact road, which says of each row that is no use what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from align_cli.mix.layout import rows, turns, where
from align_cli.mix.reading import read
from align_cli.mix.reading.blocks import Bad, Block, Job
from align_cli.mix.reading.json_values import TOO_DEEP, Twice
from align_cli.mix.sources.formats import File
from align_cli.mix.spools import arrow_rows

_ROWS = 1000
_CHARACTERS = 8_000_000
_RECORDS = 20_000  # of which most were left out


class RowByRow:
    """Collects rows until a block is full."""

    def __init__(self, job: Job, file: File) -> None:
        source = job.source
        self._job, self._file = job, file
        self._repaired: Counter[str] = Counter()
        mended = self._repaired if job.repair else None
        self._convert = rows.converter(job.fit, job.shape, system=source.system, repaired=mended)
        self._matches = where.compiled(source.where) if source.where else None
        self._start()

    @property
    def is_full(self) -> bool:
        """Whether there is enough for a block."""
        enough = len(self._rows) + len(self._bad) >= _ROWS or self._characters >= _CHARACTERS
        return enough or self._num_records >= _RECORDS

    def add(self, index: int, record: read.Record) -> None:
        """The next record, good or bad; `index` is its number in the span."""
        self._num_records += 1
        reason, hint = record.fault, ""
        if reason:
            hint = read.hint_for(self._file, reason)
        elif not isinstance(record.row, dict):
            reason = "the row is no object with named columns"
        elif record.twice and (twice := _named_twice(record.row, self._job)):
            reason, hint = twice, "keep one of them"
        elif self._file.format == "txt" and not record.row["text"].strip():
            self._left_out.setdefault("blank line", []).append(index)
            return
        else:
            try:
                if self._matches is not None and not self._matches(record.row):
                    self._left_out.setdefault("where", []).append(index)
                    return
                row = self._convert(record.row)
            except turns.BadRowError as error:
                reason, hint = str(error), error.hint
            except RecursionError:
                reason = TOO_DEEP
        if reason:
            self._bad.append(Bad(index, record.place, reason, hint))
            return
        self._rows.append(row)
        self._index.append(index)
        self._place.append(record.place)
        self._characters += sum(_characters(value) for value in row)

    def block(self) -> Block:
        """What was added since the last block."""
        import numpy as np

        try:
            batch = arrow_rows.arrays(self._rows, self._job.shape)
        except UnicodeEncodeError:
            self._drop_surrogates()
            batch = arrow_rows.arrays(self._rows, self._job.shape)
        block = Block(
            batch=batch,
            index=np.array(self._index, np.int64),
            place=np.array(self._place, np.int64),
            num_records=self._num_records,
            bad=sorted(self._bad, key=lambda bad: bad.index),
            left_out=self._left_out,
            repaired=Counter(self._repaired),
        )
        self._start()
        return block

    def _start(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._index: list[int] = []
        self._place: list[int] = []
        self._bad: list[Bad] = []
        self._left_out: dict[str, list[int]] = {}
        self._repaired.clear()
        self._num_records = self._characters = 0

    def _drop_surrogates(self) -> None:
        kept = []
        for number, row in enumerate(self._rows):
            try:
                _encode(row)
                kept.append(number)
            except UnicodeEncodeError as error:
                code = ord(error.object[error.start])
                reason = f"holds half a surrogate pair (\\u{code:04x}), which is no character"
                self._bad.append(Bad(self._index[number], self._place[number], reason, "remove it from the text"))
        self._rows = [self._rows[number] for number in kept]
        self._index = [self._index[number] for number in kept]
        self._place = [self._place[number] for number in kept]


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(len(turn[1] or "") for turn in value) if isinstance(value, list) else 0


def _encode(value: Any) -> None:
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, (list, tuple)):
        for part in value:
            _encode(part)


def _named_twice(row: dict[str, Any], job: Job) -> str:
    """Why it is not known which value of a key is meant; "" where nobody reads that key."""
    fit = job.fit
    columns = fit.picks.values()
    for column in _twice(row, columns):
        return f'the column "{column}" is given twice'
    for column in columns:
        items = row.get(column)
        for number, turn in enumerate(items if isinstance(items, list) else (), 1):
            for key in _twice(turn, (fit.role, fit.content, *turns.EXTRA)):
                return f'turn {number}: "{key}" is given twice'
    return ""


def _twice(value: Any, keys: Iterable[str]) -> list[str]:
    return [key for key in value.keys_twice if key in keys] if isinstance(value, Twice) else []
