"""Columns of turns: read from any way in which Arrow keeps lists of objects, joined, checked, and made ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from align_cli.mix.layout.layouts import Fit
from align_cli.mix.layout.turns import EXTRA, ROLES

if TYPE_CHECKING:
    import pyarrow as pa

_ASSISTANT = ROLES.index("assistant")
#: What `str.isspace` says is space; Arrow's own idea of it is another.
_SPACE = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
#: JSON texts that hold nothing.
_NOTHING = ("", "[]", "{}")


class Unlike(Exception):
    """A column does not hold what it should, in no row."""


@dataclass(frozen=True, slots=True)
class Turns:
    """A conversation in each row. `lengths` (rows,) int64; `roles` (turns,) numbers in ROLES; `content` (turns,)."""

    lengths: Any
    roles: Any
    content: pa.StringArray

    def offsets(self) -> Any:
        """(rows + 1,) Where each row's turns begin."""
        import numpy as np

        offsets: Any = np.zeros(len(self.lengths) + 1, np.int64)
        np.cumsum(self.lengths, out=offsets[1:])
        return offsets

    def begins_with(self, *roles: str) -> Any:
        """(rows,) bool: whether the first turn has one of the roles."""
        import numpy as np

        if not len(self.roles):
            return np.zeros(len(self.lengths), bool)
        first = self.roles[np.minimum(self.offsets()[:-1], len(self.roles) - 1)]
        return (self.lengths > 0) & np.isin(first, [ROLES.index(role) for role in roles])

    def is_answered(self) -> Any:
        """(rows,) bool: whether an assistant speaks, and never twice in a row; see `turns.check`."""
        import numpy as np

        row = np.repeat(np.arange(len(self.lengths)), self.lengths)
        spoken = self.roles == _ASSISTANT
        answered = np.bincount(row[spoken], minlength=len(self.lengths)) > 0
        twice = spoken[1:] & spoken[:-1] & (row[1:] == row[:-1])
        answered[row[1:][twice]] = False
        return answered

    def is_tidy(self) -> Any:
        """(rows,) bool: whether `repair.mend` surely leaves the row's turns as they are."""
        import numpy as np

        row = np.repeat(np.arange(len(self.lengths)), self.lengths)
        system = np.bincount(row[self.roles == ROLES.index("system")], minlength=len(self.lengths))
        tidy = (system == 0) | self.begins_with("system")
        tidy[row[~filled(stripped(self.content))]] = False
        again = (self.roles[1:] == self.roles[:-1]) & (row[1:] == row[:-1])
        tidy[row[1:][again]] = False
        return tidy

    def last(self) -> tuple[Turns, Any, Any]:
        """(the turns before the last, (rows,) the last one's role, its content); for rows with a turn at least."""
        import numpy as np
        import pyarrow as pa

        ends = self.offsets()[1:] - 1
        before: Any = np.ones(len(self.roles), bool)
        before[ends] = False
        rest = Turns(self.lengths - 1, self.roles[before], self.content.filter(pa.array(before)))
        return rest, self.roles[ends], self.content.take(pa.array(ends))

    def equals(self, other: Turns) -> Any:
        """(rows,) bool: whether the row's turns are the other's, in role and text."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        equal = self.lengths == other.lengths
        mine, theirs = (np.repeat(equal, turns.lengths) for turns in (self, other))
        texts = pc.equal(self.content.filter(pa.array(mine)), other.content.filter(pa.array(theirs)))
        same = pc.fill_null(texts, False).to_numpy(zero_copy_only=False) & (self.roles[mine] == other.roles[theirs])
        row = np.repeat(np.arange(len(equal)), self.lengths)[mine]
        equal[row[~same]] = False
        return equal

    def taken(self, rows: Any) -> Turns:
        """The turns of those rows for which `rows` (rows,) is true; the others have none then."""
        import numpy as np
        import pyarrow as pa

        kept = np.repeat(rows, self.lengths)
        return Turns(np.where(rows, self.lengths, 0), self.roles[kept], self.content.filter(pa.array(kept)))

    def array(self) -> pa.ListArray:
        """The turns as `arrow_rows.schema` has them."""
        import numpy as np
        import pyarrow as pa

        role = pa.array(ROLES, pa.string()).take(pa.array(np.maximum(self.roles, 0)))
        extra = pa.nulls(len(role), pa.string())
        struct = pa.StructArray.from_arrays([role, self.content, extra], names=["role", "content", "extra"])
        return pa.ListArray.from_arrays(pa.array(self.offsets().astype(np.int32)), struct)


def json_type(fit: Fit) -> pa.DataType:
    """The type by which a JSON parser finds ordinary turns: keys that become `extra` must be null."""
    import pyarrow as pa

    others = [(key, pa.null()) for key in EXTRA if key not in (fit.role, fit.content)]
    return pa.list_(pa.struct([(fit.role, pa.string()), (fit.content, pa.string()), *others]))


def read(fit: Fit, column: pa.Array) -> tuple[Turns, Any]:
    """A column's turns, and (rows,) bool: which rows are ordinary.

    Raises:
        Unlike: the column holds no lists of objects.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not pa.types.is_struct(kind.value_type):
        raise Unlike
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    objects = column.flatten()
    fields = dict(zip((field.name for field in kind.value_type), objects.flatten(), strict=True))
    if len(fields) < kind.value_type.num_fields or not {fit.role, fit.content} <= set(fields):
        raise Unlike
    known = {role: ROLES.index(role) for role in ROLES}
    known |= {theirs: known[ours] for theirs, ours in fit.layout.roles.items() if ours in known}
    for role in fit.layout.call_roles:
        known.pop(role, None)
    found = pc.index_in(text(fields[fit.role]), value_set=pa.array(known, pa.string()))
    numbers = np.array([*known.values(), -1])  # the last is for roles that are not known
    roles = numbers[pc.fill_null(found, -1).to_numpy()]
    content = text(fields[fit.content])
    odd = roles < 0
    if content.null_count:
        odd |= content.is_null().to_numpy(zero_copy_only=False)
    for key in EXTRA:
        if key in fields and key not in (fit.role, fit.content) and fields[key].null_count < len(objects):
            odd |= fields[key].is_valid().to_numpy(zero_copy_only=False)
    ordinary = lengths > 0
    if odd.any():
        ordinary[np.repeat(np.arange(len(lengths)), lengths)[odd]] = False
    return Turns(lengths, roles, content), ordinary


def single(role: str, content: pa.StringArray, where: Any = None) -> Turns:
    """One turn in each row, or in those rows `where` it says so."""
    import numpy as np
    import pyarrow as pa

    if where is not None:
        content = content.filter(pa.array(where))
    lengths = np.ones(len(content), np.int64) if where is None else where.astype(np.int64)
    return Turns(lengths, np.full(len(content), ROLES.index(role)), content)


def constant(role: str, said: str, where: Any) -> Turns:
    """The same turn in the rows `where` it says so."""
    import numpy as np
    import pyarrow as pa

    count = int(where.sum())
    content = pa.repeat(pa.scalar(said, pa.string()), count)
    return Turns(where.astype(np.int64), np.full(count, ROLES.index(role)), content)


def joined(parts: Sequence[Turns]) -> Turns:
    """In each row, the turns of the first part, then those of the second, and so on."""
    import numpy as np
    import pyarrow as pa

    lengths: Any = sum(part.lengths for part in parts)
    ends = np.cumsum(lengths)
    start = ends - lengths
    order: Any = np.empty(int(ends[-1]) if len(ends) else 0, np.int64)
    before = 0
    for part in parts:
        count = len(part.roles)
        shift = np.repeat(start - part.offsets()[:-1], part.lengths)
        order[np.arange(count) + shift] = np.arange(before, before + count)
        start = start + part.lengths
        before += count
    content = pa.concat_arrays([part.content for part in parts]).take(pa.array(order))
    return Turns(lengths, np.concatenate([part.roles for part in parts])[order], content)


def text(column: pa.Array) -> pa.StringArray:
    """A column of text as plain strings, however it is kept.

    Raises:
        Unlike: it holds something else.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind):
        return column
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_null(kind) or pa.types.is_string(plain) or pa.types.is_large_string(plain):
        return column.cast(pa.string())
    if pa.types.is_string_view(plain):
        return column.cast(pa.string())
    raise Unlike


def filled(column: pa.StringArray) -> Any:
    """(rows,) bool: whether there is a text, and not an empty one."""
    import pyarrow.compute as pc

    return pc.fill_null(pc.greater(pc.binary_length(column), 0), False).to_numpy(zero_copy_only=False)


def stripped(column: pa.StringArray) -> pa.StringArray:
    """The texts without the space around them, as `str.strip` sees it."""
    import pyarrow.compute as pc

    return pc.utf8_trim(column, characters=_SPACE)


def is_empty(column: pa.Array) -> Any:
    """(rows,) bool: whether there is nothing: null, an empty list, or text that says so."""
    import pyarrow as pa
    import pyarrow.compute as pc

    empty = column.is_null().to_numpy(zero_copy_only=False)
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        nothing = pc.equal(pc.list_value_length(column), 0)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        nothing = pc.is_in(column, value_set=pa.array(_NOTHING, kind))
    else:
        return empty
    return empty | pc.fill_null(nothing, False).to_numpy(zero_copy_only=False)


def validated(column: pa.Array) -> pa.Array:
    """The column, whose texts and offsets were looked at.

    Raises:
        ArrowInvalid: they are wrong.
    """
    column.validate(full=True)
    return column
