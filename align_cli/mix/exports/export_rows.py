"""Rows of the store in the columns that others read: turns with their further keys, tools, and the source's label."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_EXTRA = "extra"
_JSON_COLUMNS = ("tools", "chat_template_kwargs")
#: Columns of the store that others have no use for.
_OWN = ("place",)


def labels_of(report: Mapping[str, Any]) -> list[str]:
    """What the rows of each source are labelled with; of a place on this machine only the last part."""
    found = []
    for source in report["sources"]:
        label = str(source["label"])
        found.append(Path(label).name if label.startswith(("/", "~", "..")) else label)
    return found


def plain_rows(batch: pa.RecordBatch, labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries for JSON; what a row does not have is left out."""
    columns = {name: batch.column(name).to_pylist() for name in batch.schema.names if name not in _OWN}
    for index in range(batch.num_rows):
        row: dict[str, Any] = {}
        for name, values in columns.items():
            value = values[index]
            if value is None:
                continue
            if name == "source":
                value = labels[value]
            elif name in _JSON_COLUMNS:
                value = json.loads(value)
            elif isinstance(value, list):
                value = [_turn(turn) for turn in value]
            row[name] = value
        yield row


def _turn(turn: dict[str, Any]) -> dict[str, Any]:
    extra = turn.pop(_EXTRA, None)
    return {**turn, **json.loads(extra)} if extra else turn


@dataclass(frozen=True)
class Columns:
    """The columns of a Parquet file for a mixture, and how they are made from the store's."""

    schema: pa.Schema
    labels: Sequence[str]
    keys: Mapping[str, Any]
    """Further key of a turn -> its type; text where no type holds all its values exactly."""
    kwargs: Any
    """Type of chat_template_kwargs, likewise."""

    @classmethod
    def of(cls, streams: Sequence[Path], report: Mapping[str, Any]) -> Columns:
        """The columns that hold the rows of all these streams."""
        import pyarrow as pa

        types = _Types()
        for stream in streams:
            for batch in _batches(stream):
                types.see(batch)
        if types.seen:
            for stream in streams:
                for batch in _batches(stream):
                    types.verify(batch)
        fields = []
        for field in next(iter(_schemas(streams))):
            if field.name in _OWN:
                continue
            kind = field.type
            if field.name == "source":
                kind = pa.string()
            elif field.name == "chat_template_kwargs":
                kind = types.of("", pa.string())
            elif pa.types.is_list(kind):
                plain = [(name, pa.string()) for name in ("role", "content")]
                further = [(key, types.of(key, pa.string())) for key in types.further]
                kind = pa.list_(pa.struct([*plain, *further]))
            fields.append((field.name, kind))
        keys = {key: types.of(key, pa.string()) for key in types.further}
        return cls(pa.schema(fields), labels_of(report), keys, types.of("", pa.string()))

    def standard(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch in these columns."""
        import pyarrow as pa

        made = []
        for field in self.schema:
            column = batch.column(field.name)
            if field.name == "source":
                made.append(pa.array(self.labels, pa.string()).take(column))
            elif field.name == "chat_template_kwargs":
                made.append(_array([_parsed(value) for value in column.to_pylist()], self.kwargs))
            elif pa.types.is_list(field.type):
                made.append(self._turns(column, field.type))
            else:
                made.append(column)
        return pa.RecordBatch.from_arrays(made, schema=self.schema)

    def _turns(self, column: pa.Array, kind: pa.DataType) -> pa.Array:
        import pyarrow as pa

        turns = column.flatten()
        parts = [turns.field("role"), turns.field("content")]
        if self.keys:
            extras = [_parsed(value) or {} for value in turns.field(_EXTRA).to_pylist()]
            parts += [_array([extra.get(key) for extra in extras], form) for key, form in self.keys.items()]
        struct = pa.StructArray.from_arrays(parts, fields=list(kind.value_type))
        offsets = pa.array(column.offsets.to_numpy() - column.offsets[0].as_py(), pa.int32())
        mask = column.is_null() if column.null_count else None
        return pa.ListArray.from_arrays(offsets, struct, type=kind, mask=mask)


class _Types:
    """Finds for each further key the type that holds its values exactly; text is what holds anything."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    @property
    def further(self) -> list[str]:
        """Further keys of turns, in the order in which they were met."""
        return [key for key in self.seen if key]

    def of(self, key: str, otherwise: Any) -> Any:
        """The key's type."""
        return self.seen.get(key) or otherwise

    def see(self, batch: pa.RecordBatch) -> None:
        """Widen the types to what is in the batch."""
        import pyarrow as pa

        for key, values in _values(batch):
            try:
                kind = pa.infer_type(values)
                if key in self.seen:
                    if self.seen[key] is None:
                        continue
                    fields = [pa.schema([("value", one)]) for one in (self.seen[key], kind)]
                    kind = pa.unify_schemas(fields, promote_options="permissive").field("value").type
                self.seen[key] = kind
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
                self.seen[key] = None

    def verify(self, batch: pa.RecordBatch) -> None:
        """Fall back to text for what would come back otherwise than it was."""
        import pyarrow as pa

        for key, values in _values(batch):
            kind = self.seen[key]
            if kind is None or pa.types.is_string(kind):
                continue
            try:
                back = pa.array(values, kind).to_pylist()
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                back = None
            if back is None or json.dumps(back) != json.dumps(values):
                self.seen[key] = None


def _values(batch: pa.RecordBatch) -> Iterator[tuple[str, list[Any]]]:
    """(key, values that are there) of a batch; the key of chat_template_kwargs is empty."""
    import pyarrow as pa

    found: dict[str, list[Any]] = {}
    for field in batch.schema:
        column = batch.column(field.name)
        if field.name == "chat_template_kwargs":
            found[""] = [json.loads(value) for value in column.drop_null().to_pylist()]
        elif pa.types.is_list(field.type) and field.type.value_type.get_field_index(_EXTRA) >= 0:
            for value in column.flatten().field(_EXTRA).drop_null().to_pylist():
                for key, one in json.loads(value).items():
                    found.setdefault(key, []).append(one)
    yield from ((key, values) for key, values in found.items() if values)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_string(kind):
        return pa.array([_text(value) for value in values], kind)
    return pa.array(values, kind)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parsed(value: str | None) -> Any:
    return None if value is None else json.loads(value)


def _batches(stream: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    with pa.memory_map(str(stream)) as file, pa.ipc.open_stream(file) as reader:
        names = {field.name for field in reader.schema if pa.types.is_list(field.type)} & set(reader.schema.names)
        has_extra = any(reader.schema.field(name).type.value_type.get_field_index(_EXTRA) >= 0 for name in names)
        if has_extra or "chat_template_kwargs" in reader.schema.names:
            yield from reader


def _schemas(streams: Sequence[Path]) -> Iterator[pa.Schema]:
    import pyarrow as pa

    for stream in streams:
        with pa.memory_map(str(stream)) as file, pa.ipc.open_stream(file) as reader:
            yield reader.schema
