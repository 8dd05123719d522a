"""Read every source to its end: usable rows into spools, the others counted and a few of them kept to show."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.errors import DataError, Problem
from align_cli.mix.clean.plan import Plan
from align_cli.mix.layout import layouts
from align_cli.mix.reading import mapped, pieces, read
from align_cli.mix.reading.engines import Engine
from align_cli.mix.sources.formats import File
from align_cli.mix.sources.locate import Located
from align_cli.mix.spools.spool import Spool, SpoolFile

if TYPE_CHECKING:
    from align_cli.mix.order.orders import Rows


@dataclass(slots=True)
class Gathered:
    """One source after reading.

    A place is a row's number in the source, after its split expression, good or bad. A record is a row's number in the
    order of reading, before that expression. A spool row is a usable row's number among the usable.
    """

    located: Located
    fit: layouts.Fit
    spool: Spool
    places: Rows
    """(places,) Spool row of each place; -1 for a row that cannot be used."""
    records: Rows
    """(spool rows,) The record of each."""
    step: Any
    """(spool rows,) uint8: the step of cleaning that leaves the row out, 0 for none; later steps write here, too."""
    why: dict[int, str]
    """Spool row -> why that step leaves it out."""
    hashes: Any
    """(spool rows, 2) uint64 where exact duplicates are sought, else None."""
    signatures: Path | None
    """File of (spool rows, permutations) uint32 where near duplicates are sought."""
    files: list[tuple[File, int, int]]
    """(file, its first record, its first spool row), in reading order."""
    lines: Rows
    """(spool rows,) Line or row number in the file."""
    num_bad: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason -> rows that never reached the spool."""
    repaired: Counter[str] = field(default_factory=Counter)
    shown: list[Problem] = field(default_factory=list)
    """The first bad rows."""

    def usable(self) -> tuple[Rows, Rows]:
        """Places whose rows are usable and not left out by cleaning, and their spool rows."""
        import numpy as np

        places = np.flatnonzero(self.places >= 0)
        rows = self.places[places]
        kept = self.step[rows] == 0
        return places[kept], rows[kept]

    def where(self, row: int) -> str:
        """The place of a spool row, as messages call it."""
        number = bisect_right(self.files, row, key=lambda entry: entry[2]) - 1
        file, first, _ = self.files[number]
        return read.place_of(file, int(self.lines[row]), int(self.records[row]) - first + 1)

    def signature_rows(self) -> Any:
        """(spool rows, permutations) uint32, mapped from its file; None where there are none."""
        import numpy as np

        if self.signatures is None or not len(self.step):
            return None
        return np.memmap(self.signatures, np.uint32, "r").reshape(len(self.step), -1)


def gather(
    located: Sequence[Located],
    fits: Sequence[layouts.Fit],
    shape: str,
    folder: Path,
    *,
    repair: bool,
    plan: Plan | None,
    engine: Engine,
    say: Callable[[str], None],
) -> list[Gathered]:
    """Read all rows of all sources into spools in `folder`.

    Raises:
        DataError: what is wrong with files as a whole, all of it together.
    """
    numbers: list[int] = []
    items: list[pieces.Piece] = []
    for number, (one, fit) in enumerate(zip(located, fits, strict=True)):
        job = mapped.Job(fit, shape, one.source, repair)
        for files in _distinct(one):
            for file in files:
                for span in mapped.spans(file):
                    target = folder / f"piece-{len(items)}.arrow"
                    send = not engine.shares_disk
                    items.append(pieces.Piece(span=span, job=job, plan=plan, target=target, send=send))
                    numbers.append(number)
    results = zip(numbers, items, engine.map(pieces.read, items), strict=True)
    found: list[Gathered] = []
    errors: list[DataError] = []
    collector: _Collector | None = None
    at = -1
    for number, piece, result in results:
        if number != at:
            if collector and not errors:
                found.append(collector.finish())
            say(f"reading {located[number].source.label}")
            collector, at = _Collector(located[number], fits[number], shape, folder / f"source-{number}"), number
        assert collector is not None
        if result.error:
            errors.append(result.error)
        elif not errors:
            collector.add(piece, result)
    if errors:
        raise _joined(errors)
    if collector:
        found.append(collector.finish())
    return found


def _distinct(located: Located) -> Iterator[tuple[File, ...]]:
    """The lists of files that the terms of the split expression name, each once."""
    return iter(dict.fromkeys(part.files for part in located.parts))


def _joined(errors: Sequence[DataError]) -> DataError:
    distinct = list({(error.message, error.problems): error for error in errors}.values())
    if len(distinct) == 1:
        return distinct[0]
    problems = dict.fromkeys(problem for error in distinct for problem in error.problems)
    return DataError(f"{len(distinct)} files cannot be read", problems=problems)


def _small(numbers: Rows) -> Any:
    """Row numbers in half the memory, as long as they fit."""
    import numpy as np

    return numbers.astype(np.int32) if not len(numbers) or numbers.max() < 2**31 else numbers


class _Collector:
    """Puts the pieces of one source together, in reading order."""

    def __init__(self, located: Located, fit: layouts.Fit, shape: str, stem: Path) -> None:
        self._located, self._fit, self._shape, self._stem = located, fit, shape, stem
        self._spools: list[SpoolFile] = []
        self._parts: dict[str, list[Any]] = {name: [] for name in ("records", "lines", "step", "hashes", "bad")}
        self._left_out: dict[str, list[Any]] = {}
        self._why: dict[int, str] = {}
        self._repaired: Counter[str] = Counter()
        self._shown: list[tuple[int, Problem]] = []
        self._signatures: Any = None
        self._files: list[tuple[File, int, int]] = []
        self._starts: list[int] = []  # first record of each file, one entry a file that was read
        self._num_records = self._num_rows = self._lines = 0

    def add(self, piece: pieces.Piece, result: pieces.Result) -> None:
        """The next piece."""
        assert result.spool is not None
        file = piece.span.file
        if piece.span.start == 0:  # a file begins
            self._files.append((file, self._num_records, self._num_rows))
            self._lines = 0
        if result.content is not None:
            piece.target.write_bytes(result.content)
            result.spool = replace(result.spool, path=piece.target)
        self._spools.append(result.spool)
        self._parts["records"].append(_small(result.record + self._num_records))
        self._parts["lines"].append(_small(result.place + self._lines))
        self._parts["step"].append(result.step)
        self._parts["bad"].append(result.bad + self._num_records)
        if result.hashes is not None:
            self._parts["hashes"].append(result.hashes)
        if result.signatures is not None:
            if self._signatures is None:
                self._signatures = self._stem.with_suffix(".signatures").open("wb")
            self._signatures.write(result.signatures.tobytes())
        for reason, indices in result.left_out.items():
            self._left_out.setdefault(reason, []).append(indices + self._num_records)
        self._why.update({self._num_rows + row: why for row, why in result.why.items()})
        self._repaired.update(result.repaired)
        for bad in result.shown:
            record = bad.index + self._num_records
            where = read.place_of(file, bad.place + self._lines, record - self._files[-1][1] + 1)
            self._shown.append((record, Problem(bad.reason, where, bad.hint)))
        self._num_records += result.num_records
        self._num_rows += result.spool.num_rows
        self._lines += result.num_lines or result.num_records  # binary files have rows and no lines

    def finish(self) -> Gathered:
        """The source as a whole."""
        import numpy as np

        if self._signatures is not None:
            self._signatures.close()
        joined: dict[str, Any] = {
            name: np.concatenate(arrays) if arrays else np.empty(0, np.uint8 if name == "step" else np.int64)
            for name, arrays in self._parts.items()
            if name != "hashes"
        }
        wanted, whole = self._wanted()
        to_spool: Any = np.full(self._num_records, -1, np.int32 if self._num_records < 2**31 else np.int64)
        to_spool[joined["records"]] = np.arange(self._num_rows)
        asked: Any = np.zeros(self._num_records, bool)
        asked[wanted] = True
        # Rows outside the split expression are no concern of anybody's.
        bad = joined["bad"] if whole else joined["bad"][asked[joined["bad"]]]
        left_out = Counter({r: int(asked[np.concatenate(i)].sum()) for r, i in self._left_out.items()})
        shown = [problem for record, problem in self._shown if asked[record]]
        return Gathered(
            located=self._located,
            fit=self._fit,
            spool=Spool(self._spools),
            places=to_spool if whole else to_spool[wanted],
            records=joined["records"],
            step=joined["step"],
            why=self._why,
            hashes=np.concatenate(self._parts["hashes"]) if self._parts["hashes"] else None,
            signatures=self._stem.with_suffix(".signatures") if self._signatures is not None else None,
            files=self._files,
            lines=joined["lines"],
            num_bad=len(bad),
            left_out=+left_out,
            repaired=self._repaired,
            shown=shown[: pieces.MAX_SHOWN],
        )

    def _wanted(self) -> tuple[Rows, bool]:
        """The records that the split expression names, in order, and whether they are simply all."""
        import numpy as np

        begins = [first for _, first, _ in self._files] + [self._num_records]
        spans: dict[tuple[File, ...], tuple[int, int]] = {}
        at = 0
        for files in _distinct(self._located):
            spans[files] = (begins[at], begins[at + len(files)])
            at += len(files)
        chosen = []
        for part in self._located.parts:
            begin, end = spans[part.files]
            low, high = part.slice.bounds(end - begin)
            chosen.append(np.arange(begin + low, begin + high))
        wanted: Rows = np.concatenate(chosen)
        return wanted, len(self._located.parts) == 1 and len(wanted) == self._num_records
