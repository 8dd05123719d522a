"""Read one source to its end: usable rows into a spool, bad rows counted and a few of them kept to show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.errors import Problem
from align_cli.mix import layouts, read, rows
from align_cli.mix.formats import File
from align_cli.mix.locate import Located
from align_cli.mix.spool import Spool

if TYPE_CHECKING:
    from align_cli.mix.arithmetic import Rows

_MAX_SHOWN = 10


@dataclass(slots=True)
class Gathered:
    """One source after reading. A place is a row's number in the source (after its split expression), good or bad."""

    located: Located
    fit: layouts.Fit
    spool: Spool
    places: Rows
    """Place -> row in the spool, -1 for a bad row."""
    num_bad: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason -> rows left out."""
    shown: list[Problem] = field(default_factory=list)
    """The first bad rows."""

    @property
    def num_places(self) -> int:
        """Rows read, good and bad."""
        return len(self.places)

    @property
    def num_usable(self) -> int:
        """Rows that can be trained on."""
        return int((self.places >= 0).sum())

    def spool_rows(self, chosen: Rows, keep_places: bool) -> Rows:
        """Rows in the spool of chosen places (or of the chosen among usable rows); -1 for a bad row."""
        rows: Rows = (self.places if keep_places else self.places[self.places >= 0])[chosen]
        return rows


def gather(located: Located, fit: layouts.Fit, shape: str, path: Path) -> Gathered:
    """Read all rows of a source into a spool at `path`.

    Raises:
        DataError: a file as a whole cannot be read.
    """
    import numpy as np

    spool = Spool(path, shape)
    convert = rows.converter(fit, shape)
    unit = located.source.layout if located.source.layout in read.TEXT_UNITS else "lines"
    faults: dict[int, tuple[File, int, str, str]] = {}
    blank: set[int] = set()
    starts: dict[tuple[File, ...], tuple[int, int]] = {}  # files of a split -> where their rows are, when read before
    spans = []
    number = 0
    for part in located.parts:
        if part.files not in starts:
            begin = number
            for file in part.files:
                for record in read.rows(file, text_unit=unit):
                    if record.fault:
                        faults[number] = (file, record.place, record.fault, read.hint_for(file, record.fault))
                    elif not isinstance(record.row, dict):
                        faults[number] = (file, record.place, "the row is no object with named columns", "")
                    elif file.format == "txt" and not record.row["text"].strip():
                        blank.add(number)
                    else:
                        try:
                            spool.add(convert(record.row), (number, file, record.place))
                        except rows.BadRowError as error:
                            faults[number] = (file, record.place, str(error), error.hint)
                    number += 1
            starts[part.files] = (begin, number)
        begin, end = starts[part.files]
        low, high = part.slice.bounds(end - begin)
        spans.append(np.arange(begin + low, begin + high))
    spool.close()
    for (row_number, file, place), reason in spool.unwritable:
        faults[row_number] = (file, place, reason, "remove it from the text")
    return _gathered(located, fit, spool, number, faults, blank, np.concatenate(spans))


def _gathered(
    located: Located,
    fit: layouts.Fit,
    spool: Spool,
    num_read: int,
    faults: dict[int, tuple[File, int, str, str]],
    blank: set[int],
    wanted: Any,
) -> Gathered:
    import numpy as np

    bad: Any = np.zeros(num_read, bool)
    bad[[*faults, *blank]] = True
    to_spool = np.where(bad, -1, np.cumsum(~bad) - 1)
    result = Gathered(located, fit, spool, to_spool[wanted])
    within = set(wanted.tolist()) if len(wanted) < num_read else None
    for number in sorted(faults):
        if within is None or number in within:
            file, place, reason, hint = faults[number]
            result.num_bad += 1
            result.dropped["bad row"] += 1
            if len(result.shown) < _MAX_SHOWN:
                result.shown.append(Problem(reason, read.place_of(file, place), hint))
    blanks = len(blank) if within is None else len(blank & within)
    if blanks:
        result.dropped["blank line"] = blanks
    return result
