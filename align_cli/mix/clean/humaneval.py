"""Rows that hold a docstring or a solution of HumanEval word for word, as the Alignment Handbook left them out.

Its rule (alignment-handbook, src/alignment/decontaminate.py, from March 2024 to July 2025): a text goes when, in lower
case and with each run of white space as one space, it contains one of 325 strings anywhere, even inside a word. The
strings are not ours to pass on. `humaneval.json` has each one's length and sha256, and a hash of its first `ANCHOR`
bytes with which the places where one may begin are found for a whole batch at once; `humaneval_table` made it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.files import digest_of_file
from align_cli.mix.clean import texts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TABLE = Path(__file__).with_suffix(".json")
#: Bytes at which a candidate is recognised; no string is shorter.
ANCHOR = 16
_MULTIPLIER = 0x9E3779B97F4A7C15
_CHUNK = 1 << 21  # bytes at a time: what the passes over them need fits the processor's caches
#: White space beyond ASCII, as `str.split` knows it.
_SPACES = "[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
#: The only characters beyond ASCII whose lower case has a letter of ASCII in it, and that lower case.
_LOWER = (("\u212a", "k"), ("\u0130", "i\u0307"))


#: Name, bytes, hash of the first bytes and sha256 of one string, as the table has them.
Row = tuple[str, int, str, str]


@dataclass(frozen=True, slots=True)
class Strings:
    """What is looked for."""

    names: tuple[str, ...]
    """What messages call each, e.g. `the docstring of HumanEval/7`."""
    lengths: tuple[int, ...]
    """Bytes in UTF-8."""
    anchors: tuple[int, ...]
    """The hash of each one's first `ANCHOR` bytes."""
    digests: tuple[str, ...]
    """sha256."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Strings:
        """The strings of some rows of a table."""
        names, lengths, anchors, digests = zip(*rows, strict=True)
        return cls(names, lengths, tuple(int(anchor, 16) for anchor in anchors), digests)


def identity() -> str:
    """What decides the outcome, for the mixture's address."""
    return f"sha256 {digest_of_file(TABLE)}"


@cache
def strings() -> Strings:
    """The strings of the table."""
    return Strings.of(json.loads(TABLE.read_text(encoding="utf-8"))["strings"])


class Finder:
    """Looks for the strings in batches of texts."""

    def __init__(self, wanted: Strings | None = None) -> None:
        import numpy as np

        self._wanted = wanted or strings()
        by_anchor: dict[int, list[int]] = {}
        for number, anchor in enumerate(self._wanted.anchors):
            by_anchor.setdefault(anchor, []).append(number)
        self._by_anchor = by_anchor
        self._anchors = np.array(sorted(by_anchor), np.uint64)
        self._present: Any = np.zeros(1 << 16, bool)
        self._present[self._anchors >> np.uint64(48)] = True

    def find(self, values: pa.StringArray) -> dict[int, str]:
        """Text's number -> which string it holds; only texts that hold one."""
        import numpy as np

        data, starts = normalised(values)
        found: dict[int, str] = {}
        places, anchors = self._candidates(data)
        pieces = np.searchsorted(starts, places, side="right") - 1
        for place, anchor, piece in zip(places.tolist(), anchors.tolist(), pieces.tolist(), strict=True):
            if piece in found:
                continue
            end = int(starts[piece + 1])
            for number in self._by_anchor[anchor]:
                stop = place + self._wanted.lengths[number]
                if stop <= end and _sha256(data[place:stop]) == self._wanted.digests[number]:
                    found[piece] = f"holds {self._wanted.names[number]}"
                    break
        return found

    def _candidates(self, data: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        """(places,) where the first bytes are those of some string, and (places,) their hashes."""
        import numpy as np

        places: list[Any] = [np.empty(0, np.int64)]
        anchors: list[Any] = [np.empty(0, np.uint64)]
        for begin in range(0, max(len(data) - ANCHOR + 1, 0), _CHUNK):
            hashes = anchor_hashes(data[begin : begin + _CHUNK + ANCHOR - 1])
            maybe = np.flatnonzero(self._present[hashes >> np.uint64(48)])
            at = np.searchsorted(self._anchors, hashes[maybe])
            maybe = maybe[self._anchors[np.minimum(at, len(self._anchors) - 1)] == hashes[maybe]]
            places.append(maybe + begin)
            anchors.append(hashes[maybe])
        return np.concatenate(places), np.concatenate(anchors)


def normalised(values: pa.StringArray) -> tuple[np.ndarray[Any, Any], texts.Ints]:
    """Texts in lower case, each run of white space as one space: their bytes end to end, and where each begins.

    A text contains one of the strings just when its bytes here contain that string's. Capitals beyond ASCII stay as
    they are, for no string has a letter that is one of theirs in lower case.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    ascii_only = pc.string_is_ascii(values).to_numpy(zero_copy_only=False)
    if not ascii_only.all():
        others = values.filter(pa.array(~ascii_only))
        others = pc.replace_substring_regex(others, _SPACES, " ")
        for capital, small in _LOWER:
            others = pc.replace_substring(others, capital, small)
        order = np.arange(len(values))
        order[~ascii_only] = len(values) + np.arange(len(others))
        values = pa.concat_arrays([values, others]).take(pa.array(order))
    offsets, content = values.buffers()[1:]
    if not len(values) or content is None:
        return np.empty(0, np.uint8), np.zeros(len(values) + 1, np.int64)
    bounds = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    data = _small_letters()[np.frombuffer(content, np.uint8)[bounds[0] : bounds[-1]]]
    space = data == 32
    kept = np.ones(len(data), bool)
    # A space after a space goes, across the border of two texts, too: no string begins or ends with one.
    np.logical_not(space[1:] & space[:-1], out=kept[1:])
    dropped = np.concatenate([[0], np.cumsum(~kept, dtype=np.int64)])
    bounds -= bounds[0]
    starts: texts.Ints = bounds - dropped[bounds]
    return data[kept], starts


def anchor_hashes(data: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """(bytes - ANCHOR + 1,) The hash of the `ANCHOR` bytes from each place on."""
    import numpy as np

    count = len(data) - ANCHOR + 1
    words: Any = np.ndarray(len(data) - 7, "<u8", data, strides=(1,))  # eight bytes as one number, from each place on
    hashes: np.ndarray[Any, np.dtype[np.uint64]] = words[:count] * np.uint64(_MULTIPLIER)
    hashes += words[8 : 8 + count]
    hashes *= np.uint64(_MULTIPLIER)
    return hashes


@cache
def _small_letters() -> Any:
    """Byte -> the byte in lower case; white space of ASCII, as `str.split` knows it, becomes a space."""
    import numpy as np

    table = np.arange(256, dtype=np.uint8)
    for code in range(128):
        letter = chr(code)
        table[code] = 32 if letter.isspace() else ord(letter.lower())
    return table


def _sha256(data: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(data.tobytes()).hexdigest()
