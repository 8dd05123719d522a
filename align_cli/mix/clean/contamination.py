"""Rows that hold what a benchmark asks: found by runs of words that they share with it.

A text is reduced to its lower-case words; all that is no letter or digit separates them. A row is contaminated when one
of its turns or texts shares `ngram` words in a row with a text of the benchmark, or holds all of a text that is
shorter. Texts of fewer than `SHORTEST` words are not looked for: everybody says "Hello".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.mix.clean import texts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Words that a short text must have to be looked for.
SHORTEST = 6
_SHOWN_WORDS = 16


class Reference(NamedTuple):
    """One text that must not be trained on."""

    name: str
    """What messages call it, e.g. `mt_bench question 81, turn 1`."""
    text: str


@dataclass(frozen=True, slots=True)
class _Table:
    """Runs of one length: the number of each, sorted, and where in the references it is."""

    length: int
    hashes: np.ndarray[Any, np.dtype[np.uint64]]
    reference: np.ndarray[Any, np.dtype[np.int32]]
    place: np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class References:
    """What must not be trained on, ready to be looked for. Plain values: it travels to other processes and machines."""

    names: tuple[str, ...]
    words: tuple[str, ...]
    """The words of each, separated by spaces."""
    runs: _Table
    """All runs of `ngram` words."""
    short: _Table
    """The beginnings of texts with fewer words."""
    num_ignored: int
    """Texts that are too short to be looked for."""


def prepare(references: Iterable[Reference], ngram: int) -> References:
    """The references' runs of words. Of equal texts the first is kept."""
    import numpy as np
    import pyarrow as pa

    distinct: dict[str, str] = {}
    listed = list(references)
    words = texts.words(pa.array([one.text for one in listed], pa.string()), punctuation=True)
    counts = np.diff(words.starts)
    for number, one in enumerate(listed):
        if counts[number] >= min(SHORTEST, ngram):
            text = " ".join(words.text(words.starts[number], words.starts[number + 1]))
            distinct.setdefault(text, one.name)
    spelt, names = tuple(distinct), tuple(distinct.values())
    words = texts.words(pa.array(spelt, pa.string()), punctuation=True)
    runs = _table(words, np.ones(len(spelt), bool), ngram)
    first = np.unique(runs.hashes, return_index=True)[1]  # sorted by reference: the first that has the run
    runs = _Table(ngram, runs.hashes[first], runs.reference[first], runs.place[first])
    beginning = min(SHORTEST, ngram)
    short = _table(words, np.diff(words.starts) < ngram, beginning)
    begins = short.place == 0
    short = _Table(beginning, short.hashes[begins], short.reference[begins], short.place[begins])
    return References(names, spelt, runs, short, int((counts < beginning).sum()))


def _table(words: texts.Words, wanted: Any, length: int) -> _Table:
    import numpy as np

    hashes, places = texts.runs(words.hashes, words.starts, length)
    reference = np.searchsorted(words.starts, places, side="right") - 1
    inside = wanted[reference]
    hashes, places, reference = hashes[inside], places[inside], reference[inside]
    order = np.argsort(hashes, kind="stable")
    place = places - words.starts[reference]
    return _Table(length, hashes[order], reference[order].astype(np.int32), place[order].astype(np.int32))


class Finder:
    """Looks for references in batches of texts."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._longest = max((text.count(" ") + 1 for text in references.words), default=0)
        self._tables = [(table, *_filter(table)) for table in (references.runs, references.short) if len(table.hashes)]

    def find(self, values: pa.StringArray) -> dict[int, str]:
        """Text's number -> what it shares with which reference; only texts that share something."""
        import numpy as np

        words = texts.words(values, punctuation=True)
        found: dict[int, str] = {}
        for table, present, shift in self._tables:
            hashes, places = texts.runs(words.hashes, words.starts, table.length)
            maybe = np.flatnonzero(present[hashes >> shift])
            begin = np.searchsorted(table.hashes, hashes[maybe])
            end = np.searchsorted(table.hashes, hashes[maybe], side="right")
            hits = np.flatnonzero(end > begin)
            pieces = np.searchsorted(words.starts, places[maybe[hits]], side="right") - 1
            for hit, piece in zip(hits.tolist(), pieces.tolist(), strict=True):
                if piece in found:
                    continue
                begins, ends = int(places[maybe[hit]]), int(words.starts[piece + 1])
                its = words.text(begins, min(ends, begins + self._longest))
                for entry in range(int(begin[hit]), int(end[hit])):
                    if why := self._why(table, entry, its):
                        found[piece] = why
                        break
        return found

    def _why(self, table: _Table, entry: int, its: Sequence[str]) -> str:
        """What words begin with that the reference of the entry has, too; empty when it is less than it takes."""
        reference = int(table.reference[entry])
        name, theirs = self._references.names[reference], self._references.words[reference].split(" ")
        place = int(table.place[entry])
        count = 0
        for mine, other in zip(its, theirs[place:], strict=False):
            if mine != other:
                break
            count += 1
        whole = table is self._references.short
        if count < (len(theirs) if whole else table.length):
            return ""
        shown = " ".join(its[: min(count, _SHOWN_WORDS)]) + (" …" if count > _SHOWN_WORDS else "")
        how = "holds all of" if count == len(theirs) else f"shares {count} words in a row with"
        return f'{how} {name}: "{shown}"'


def _filter(table: _Table) -> tuple[Any, Any]:
    """(a truth value for each possible beginning of a number, bits to shift a number by): most numbers fail at once."""
    import numpy as np

    bits = min(max(len(table.hashes).bit_length() + 5, 12), 28)
    shift = np.uint64(64 - bits)
    present: Any = np.zeros(1 << bits, bool)
    present[table.hashes >> shift] = True
    return present, shift


def strings(value: Any) -> Iterator[str]:
    """All texts inside a row's value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from strings(part)
