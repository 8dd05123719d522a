"""What makes rows equal or alike: a 128-bit hash of the whole row, and a MinHash signature of its word shingles.

A shingle is five words in a row, in lower case, across the turns of a conversation; a turn begins with its role. A row
with fewer words is one shingle, so that short rows are alike only when their words are the same. The columns of a
preference are told apart, and so are the labels of an answer: a pair with its sides exchanged is another row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from align_cli.mix.clean import texts
from align_cli.mix.layout.columns import COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Words of a shingle.
WORDS = 5
#: Numbers of a signature. The share of equal numbers estimates the Jaccard similarity, to about 0.03 at 0.85.
PERMUTATIONS = 128
_SEED = 42


def identity() -> str:
    """What decides signatures, for the mixture's address."""
    from rensa import RMinHash

    return f"rensa RMinHash {RMinHash.ALGORITHM_VERSION}, {PERMUTATIONS} permutations, {WORDS} words"


def row_hashes(batch: pa.RecordBatch, shape: str) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """(rows, 2) A hash of everything a row says, tools and template arguments included."""
    import numpy as np
    from xxhash import xxh3_128

    parts: list[tuple[memoryview, list[int], memoryview, list[int]]] = []
    for name, form in COLUMNS[shape]:
        array = batch.column(name)
        if form == "turns":
            starts = texts.pieces(batch, name).starts
            flat = array.flatten()
            leaves = [flat.field(field.name) for field in flat.type]
        else:
            starts, leaves = np.arange(len(array) + 1), [array]
        for leaf in leaves:
            parts.append(_bytes(leaf, starts))
    found = bytearray()
    for row in range(batch.num_rows):
        state = xxh3_128()
        for data, bounds, lengths, places in parts:
            # Lengths come first, so that no two rows give the same bytes; -1 is null.
            state.update(lengths[places[row] : places[row + 1]])
            state.update(data[bounds[row] : bounds[row + 1]])
        found += state.digest()
    return np.frombuffer(bytes(found), np.uint64).reshape(batch.num_rows, 2)


def signatures(batch: pa.RecordBatch, shape: str) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """(rows, PERMUTATIONS) The MinHash signature of each row."""
    import numpy as np
    from rensa import RMinHash

    tokens, rows = [], []
    for number, column in enumerate(texts.columns_of(shape)):
        of_column, row = _shingles(texts.pieces(batch, column))
        if number:
            of_column = texts.mixed(of_column + np.uint64(number))
        if column == "completion" and "label" in batch.schema.names:
            label = batch.column("label").fill_null(False).to_numpy(zero_copy_only=False)
            of_column = np.where(label[row], of_column, ~of_column)
        tokens.append(of_column)
        rows.append(row)
    flat, row = np.concatenate(tokens), np.concatenate(rows)
    if len(tokens) > 1:
        flat = flat[np.argsort(row, kind="stable")]
    offsets: Any = np.zeros(batch.num_rows + 1, np.uint64)
    offsets[1:] = np.cumsum(np.bincount(row, minlength=batch.num_rows))
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, PERMUTATIONS, _SEED)
    return np.array(matrix.to_rows(), np.uint32).reshape(batch.num_rows, PERMUTATIONS)


def _shingles(found: texts.Pieces) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(shingles,) The hashes of a column's shingles, and the row of each."""
    import numpy as np
    import pyarrow.compute as pc

    values = found.values
    if found.roles is not None:
        values = pc.binary_join_element_wise(pc.fill_null(found.roles, ""), values, "\n")
    words = texts.words(values, punctuation=False)
    starts = words.starts[found.starts]
    hashes, places = texts.runs(words.hashes, starts, WORDS)
    row = np.searchsorted(starts, places, side="right") - 1
    counts = np.diff(starts)
    short = np.flatnonzero((counts > 0) & (counts < WORDS))
    if len(short):
        whole: Any = np.zeros(len(short), np.uint64)
        for offset in range(WORDS - 1):
            inside = counts[short] > offset
            place = np.where(inside, starts[short] + offset, 0)
            whole = whole * np.uint64(0x9E3779B97F4A7C15) + np.where(inside, words.hashes[place], np.uint64(offset))
        hashes, row = np.concatenate([hashes, texts.mixed(~whole)]), np.concatenate([row, short])
        order = np.argsort(row, kind="stable")
        hashes, row = hashes[order], row[order]
    return hashes, row


def _bytes(array: pa.Array, starts: np.ndarray[Any, Any]) -> tuple[memoryview, list[int], memoryview, list[int]]:
    """The bytes of a column's values, where each row's begin, the values' lengths as bytes, and where those begin."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8()).cast(pa.string())
    lengths = pc.fill_null(pc.binary_length(array), -1).to_numpy(zero_copy_only=False).astype(np.int32)
    filled = pc.fill_null(array, "")  # whatever lies under a null is no part of the row
    offsets, data = filled.buffers()[1:]
    bounds = np.frombuffer(offsets, np.int32)[filled.offset : filled.offset + len(array) + 1] if len(array) else starts
    return memoryview(data or b""), bounds[starts].tolist(), memoryview(lengths.tobytes()), (starts * 4).tolist()
