"""The texts of rows as flat Arrow columns, and their words as numbers: what the steps of cleaning look at.

A piece is one turn's content, or one text of a row that has no turns. Words are told apart for a whole batch at once;
no row is ever a Python string here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from align_cli.mix.layout.columns import COLUMNS, OPTIONAL

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Ints = np.ndarray[Any, np.dtype[np.int64]]
    Hashes = np.ndarray[Any, np.dtype[np.uint64]]

#: Scripts that put no space between words: each of their characters counts as a word.
_UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])"
#: Bytes that begin a character of those scripts in UTF-8.
_UNSPACED_BYTES = (0xE0, 0xE1, *range(0xE3, 0xEB), 0xEF, 0xF0)
#: What separates words beyond ASCII: all but letters, marks and digits; or only what is white or invisible.
_SEPARATORS = r"[^\x00-\x7F\pL\pM\pN]"
_SPACES = r"[^\x00-\x7F\pL\pM\pN\pP\pS]"
_MIXED = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of one column, in order."""

    values: pa.StringArray
    """(pieces,) The texts; no nulls."""
    roles: pa.StringArray | None
    """(pieces,) Who speaks; None where the column holds plain text."""
    starts: Ints
    """(rows + 1,) Where each row's pieces begin."""


def columns_of(shape: str) -> list[str]:
    """The columns of a shape whose text a model learns from, which leaves out tools and template arguments."""
    return [name for name, form in COLUMNS[shape] if form != "flag" and name not in OPTIONAL]


def pieces(batch: pa.RecordBatch, column: str) -> Pieces:
    """The pieces of one column."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = batch.column(column)
    if pa.types.is_list(array.type):
        flat = array.flatten()
        counts = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        values, roles = pc.fill_null(flat.field("content"), ""), flat.field("role")
    else:
        counts = np.ones(len(array), np.int64)
        values, roles = pc.fill_null(array, ""), None
    starts: Any = np.zeros(len(array) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return Pieces(values, roles, starts)


def characters(batch: pa.RecordBatch, shape: str) -> Ints:
    """(rows,) Characters (code points) of all texts of each row; roles and tools are not counted."""
    import numpy as np
    import pyarrow.compute as pc

    total: Ints = np.zeros(batch.num_rows, np.int64)
    for column in columns_of(shape):
        found = pieces(batch, column)
        lengths = pc.utf8_length(found.values).to_numpy(zero_copy_only=False)
        running = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        total += running[found.starts[1:]] - running[found.starts[:-1]]
    return total


def turns(batch: pa.RecordBatch, shape: str) -> Ints:
    """(rows,) Turns of each row without its system and developer turns; of a preference, those up to the chosen answer.

    A prompt without turns is one turn, and so is its answer.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    total: Ints = np.zeros(batch.num_rows, np.int64)
    for column in columns_of(shape):
        if column == "rejected":
            continue
        found = pieces(batch, column)
        if found.roles is None:
            total += 1
            continue
        counted = pc.invert(pc.is_in(found.roles, pa.array(["system", "developer"])))
        running = np.concatenate([[0], np.cumsum(counted.to_numpy(zero_copy_only=False), dtype=np.int64)])
        total += running[found.starts[1:]] - running[found.starts[:-1]]
    return total


@dataclass(frozen=True, slots=True)
class Words:
    """The words of pieces, flat."""

    hashes: Hashes
    """(words,) A number for each word; equal words have equal numbers in every batch."""
    starts: Ints
    """(pieces + 1,) Where each piece's words begin."""
    spelt: pa.StringArray
    """The distinct words."""
    which: Any
    """(words,) int32: each word's place in `spelt`."""

    def text(self, begin: int, end: int) -> list[str]:
        """The words from `begin` up to `end`."""
        return [str(word) for word in self.spelt.take(self.which[begin:end]).to_pylist()]


def words(values: pa.StringArray, *, punctuation: bool) -> Words:
    """Split texts into lower-case words at white space and, with `punctuation`, at all that is no letter or digit.

    Text beyond ASCII is brought to its compatibility form (NFKC) first. Where a script puts no spaces between words,
    each character is a word.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from xxhash import xxh3_64_intdigest

    plain = _plain(values, punctuation)
    split = pc.ascii_split_whitespace(plain)
    flat = split.flatten()
    counts = pc.list_value_length(split).to_numpy(zero_copy_only=False).astype(np.int64)
    encoded = flat.dictionary_encode()
    spelt, which = encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False)
    starts: Any = np.zeros(len(values) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    # Leading and trailing space leaves empty words behind.
    empty = pc.index(spelt, pa.scalar("", spelt.type)).as_py()
    if empty >= 0:
        full = which != empty
        running = np.concatenate([[0], np.cumsum(full, dtype=np.int64)])
        which, starts = which[full], running[starts]
    table = np.array([xxh3_64_intdigest(word) for word in spelt.cast(pa.binary()).to_pylist()], np.uint64)
    hashes = table[which] if len(which) else np.empty(0, np.uint64)
    return Words(hashes, starts, spelt, which)


def runs(hashes: Hashes, starts: Ints, length: int) -> tuple[Hashes, Ints]:
    """A number for each run of `length` words that lies within one stretch, and the place of its first word.

    Args:
        hashes: (words,) The words' numbers.
        starts: (stretches + 1,) Where each stretch of words begins.
        length: Words in a run.
    """
    import numpy as np

    count = max(len(hashes) - length + 1, 0)
    total: Any = np.zeros(count, np.uint64)
    for offset in range(length):
        total *= np.uint64(_MIXED)
        total += hashes[offset : offset + count]
    inside: Any = np.ones(len(hashes) + 1, bool)
    for offset in range(1, length):  # the last words of a stretch begin no whole run
        ends = starts[1:] - offset
        inside[np.maximum(ends, starts[:-1])[starts[1:] > starts[:-1]]] = False
    places = np.flatnonzero(inside[:count])
    return mixed(total[places]), places


def mixed(values: Hashes) -> Hashes:
    """Every bit of the result depends on every bit of the number (the finaliser of SplitMix64)."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _plain(values: pa.StringArray, punctuation: bool) -> pa.StringArray:
    """Lower case; what separates words becomes a space."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    result = _translated(values, punctuation)
    ascii_only = pc.string_is_ascii(values)
    if pc.all(ascii_only, min_count=0).as_py():
        return result
    others = pc.utf8_lower(pc.utf8_normalize(values.filter(pc.invert(ascii_only)), "NFKC"))
    others = _translated(others, punctuation)
    others = pc.replace_substring_regex(others, _SEPARATORS if punctuation else _SPACES, " ")
    if _may_be_unspaced(others):
        others = pc.replace_substring_regex(others, _UNSPACED, r" \1 ")
    both = pa.concat_arrays([result, others])
    order = np.arange(len(values))
    order[~ascii_only.to_numpy(zero_copy_only=False)] = len(values) + np.arange(len(others))
    return both.take(pa.array(order))


def _may_be_unspaced(values: pa.StringArray) -> bool:
    """Whether some byte begins a character that may be one of those scripts'; far cheaper than to look for them."""
    import numpy as np

    data = values.buffers()[2]
    seen = np.bincount(np.frombuffer(data, np.uint8), minlength=256) if data else np.zeros(256)
    return bool(seen[list(_UNSPACED_BYTES)].any())


def _translated(values: pa.StringArray, punctuation: bool) -> pa.StringArray:
    """ASCII bytes translated one by one; the others stay."""
    import numpy as np
    import pyarrow as pa

    table: Any = np.arange(256, dtype=np.uint8)
    for code in range(128):
        letter = chr(code)
        if code <= 32 or code == 127 or (punctuation and not letter.isalnum()):
            table[code] = 32
        else:
            table[code] = ord(letter.lower())
    offsets, data = values.buffers()[1:]
    if data is None or not len(values):
        return values
    bounds = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    text = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]
    return pa.StringArray.from_buffers(
        len(values), pa.py_buffer((bounds - bounds[0]).astype(np.int32)), pa.py_buffer(table[text])
    )
