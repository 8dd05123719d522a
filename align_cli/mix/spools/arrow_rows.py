"""Our rows as Arrow: the schema of each shape, and tuples of Python values as a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from align_cli.mix.layout.columns import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa


def schema(shape: str, *, extra: bool = True, without: Sequence[str] = ()) -> pa.Schema:
    """The columns of a shape, but those in `without`; `extra` is the turns' JSON text of further keys."""
    import pyarrow as pa

    return pa.schema([(name, _type(form, extra=extra)) for name, form in COLUMNS[shape] if name not in without])


def arrays(rows: Sequence[tuple[Any, ...]], shape: str) -> pa.RecordBatch:
    """Rows, as `rows.converter` makes them, as a batch.

    Raises:
        UnicodeEncodeError: some text holds half a surrogate pair, which is no character.
    """
    import pyarrow as pa

    columns: Any = zip(*rows, strict=True) if rows else ((),) * len(COLUMNS[shape])
    made = []
    for (_, form), values in zip(COLUMNS[shape], columns, strict=True):
        made.append(_turns(values) if form == "turns" else pa.array(values, _type(form, extra=True)))
    return pa.RecordBatch.from_arrays(made, schema=schema(shape))


def trimmed(batch: pa.RecordBatch, target: pa.Schema) -> pa.RecordBatch:
    """The columns that `target` has, its turns without `extra` when `target`'s have none."""
    import pyarrow as pa

    columns = []
    for field in target:
        column = batch.column(field.name)
        if column.type != field.type:
            turns = column.values  # the whole child; the offsets say which part of it is meant
            struct = pa.StructArray.from_arrays(
                [turns.field("role"), turns.field("content")], names=["role", "content"]
            )
            column = pa.ListArray.from_arrays(column.offsets, struct)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=target)


def joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches as one: taking rows out of many pieces is slow."""
    import pyarrow as pa

    if len(batches) == 1:
        return batches[0]
    columns = [pa.concat_arrays(pieces) for pieces in zip(*(batch.columns for batch in batches), strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=batches[0].schema)


def _type(form: str, *, extra: bool) -> pa.DataType:
    import pyarrow as pa

    if form == "text":
        return pa.string()
    if form == "flag":
        return pa.bool_()
    fields = [("role", pa.string()), ("content", pa.string())] + ([("extra", pa.string())] if extra else [])
    return pa.list_(pa.struct(fields))


def _turns(values: Sequence[Sequence[tuple[str, str | None, str | None]]]) -> pa.ListArray:
    """Lists of turns (role, content, extra)."""
    import numpy as np
    import pyarrow as pa

    offsets: Any = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(turns) for turns in values], out=offsets[1:])
    flat = [turn for turns in values for turn in turns]
    parts: Any = zip(*flat, strict=True) if flat else ((), (), ())
    struct = pa.StructArray.from_arrays(
        [pa.array(part, pa.string()) for part in parts], names=["role", "content", "extra"]
    )
    return pa.ListArray.from_arrays(pa.array(offsets), struct)
