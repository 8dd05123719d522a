"""Rows in bulk: a file's columns become our columns by column arithmetic, and no row becomes a Python object.

This road never says that a row is bad. It says which rows are ordinary; the others go the road of `rows`, one by one,
which says what is wrong or does what is seldom needed. Rows that are ordinary come out as `rows` makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from align_cli.mix.layout.columns import COLUMNS
from align_cli.mix.layout.turns import ROLES
from align_cli.mix.reading import turn_columns
from align_cli.mix.reading.blocks import Job
from align_cli.mix.reading.turn_columns import Turns, Unlike
from align_cli.mix.spools import arrow_rows

if TYPE_CHECKING:
    import pyarrow as pa

#: Words whose columns are ordinary only when they hold nothing: what they hold becomes JSON text in Python's spelling.
_EMPTY = ("tools", "chat_template_kwargs", "history")


def bulk(job: Job) -> Bulk | None:
    """The way in bulk for a source's rows; None where there is none."""
    fit, source = job.fit, job.source
    layout, picks = fit.layout, fit.picks
    if source.where or layout.speakers or layout.call_key or layout.result_key:
        return None
    make: Callable[[_Columns], list[Any]] | None = None
    lists: tuple[str, ...] = ()
    if layout.kind == "text":
        make = _text
    elif layout.kind == "prompt_completion":
        lists = ("prompt", "completion") if fit.turns else ()
        make = _pair_text if job.shape == "pair_text" else _pair
    elif layout.name == "preference" and fit.turns:
        lists, make = ("chosen", "rejected"), _preferred_turns
    elif layout.name == "preference" and "prompt" in picks:
        make = _preferred_texts
    elif layout.kind == "messages" and ("instruction" in picks or "question" in picks):
        make = _asked
    elif layout.kind == "messages" and layout.forms.get("messages") == "turns":
        lists, make = ("messages",), _messages
    return Bulk(job, make, lists) if make else None


class Bulk:
    """Turns columns of one source into rows of a shape."""

    def __init__(self, job: Job, make: Callable[[_Columns], list[Any]], lists: tuple[str, ...]) -> None:
        import pyarrow as pa

        self._job, self._make = job, make
        self.columns = tuple(job.fit.picks.values())
        """The columns that are read."""
        types = {
            word: turn_columns.json_type(job.fit)
            if word in lists
            else pa.list_(pa.null())
            if word == "history"
            else pa.string()
            for word in job.fit.picks
        }
        self.schema = pa.schema([(column, types[word]) for word, column in job.fit.picks.items()])
        """What to ask a JSON parser for: where a row has something else, the row is not ordinary."""

    def rows(self, table: pa.Table | pa.RecordBatch, *, utf8: bool) -> tuple[pa.RecordBatch, Any] | None:
        """(a row of the shape for each of the table's, (rows,) bool: which are ordinary); None when no row is.

        What stands in rows that are not ordinary means nothing. `utf8`: the texts are known to be UTF-8.
        """
        import pyarrow as pa

        columns = _Columns(self._job, table, utf8)
        try:
            made = self._make(columns)
            for word in _EMPTY:
                if word in self._job.fit.picks:
                    columns.ordinary &= turn_columns.is_empty(columns.column(word))
        except (Unlike, pa.ArrowException):
            return None
        made += [pa.nulls(table.num_rows, pa.string()) for _ in COLUMNS[self._job.shape][len(made) :]]
        batch = pa.RecordBatch.from_arrays(made, schema=arrow_rows.schema(self._job.shape))
        return batch, columns.ordinary


class _Columns:
    """The columns of a table by our words, and which rows are ordinary as far as was seen."""

    def __init__(self, job: Job, table: Any, utf8: bool) -> None:
        import numpy as np

        self.job, self.fit, self.shape = job, job.fit, job.shape
        self.num_rows: int = table.num_rows
        self.ordinary: Any = np.ones(table.num_rows, bool)
        self._table, self._utf8 = table, utf8

    def has(self, word: str) -> bool:
        return word in self.fit.picks

    def column(self, word: str) -> Any:
        """The word's column as one array, or nulls where the file has none."""
        import pyarrow as pa

        name = self.fit.picks[word]
        if name not in self._table.schema.names:
            return pa.nulls(self.num_rows, pa.string())
        column = self._table.column(name)
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        return column if self._utf8 else turn_columns.validated(column)

    def text(self, word: str, *, filled: bool = False, spaces: bool = True) -> Any:
        """A column of text; a row without, or with an empty one where it must be `filled`, is not ordinary."""
        column = turn_columns.text(self.column(word))
        if column.null_count:
            self.ordinary &= column.is_valid().to_numpy(zero_copy_only=False)
        if filled:
            self.ordinary &= turn_columns.filled(column if spaces else turn_columns.stripped(column))
        return column

    def optional(self, word: str) -> tuple[Any, Any]:
        """(a column of text, (rows,) bool: where it holds something)."""
        column = turn_columns.text(self.column(word))
        return column, turn_columns.filled(column)

    def conversation(self, word: str) -> Turns:
        """A column of lists of turns."""
        turns, ordinary = turn_columns.read(self.fit, self.column(word))
        self.ordinary &= ordinary
        return turns

    def tidy(self, turns: Turns) -> Turns:
        """The turns; where they may have to be mended, their row is not ordinary."""
        if self.job.repair:
            self.ordinary &= turns.is_tidy()
        return turns

    def begun(self, turns: Turns) -> Turns:
        """The turns after the source's system prompt, where they begin without one."""
        system = self.job.source.system
        self.tidy(turns)
        if not system:
            return turns
        lacks = ~turns.begins_with("system", "developer")
        return turn_columns.joined([turn_columns.constant("system", system, lacks), turns])


def _text(columns: _Columns) -> list[Any]:
    return [columns.text("text")]


def _pair_text(columns: _Columns) -> list[Any]:
    return [columns.text("prompt"), columns.text("completion", filled=True)]


def _pair(columns: _Columns) -> list[Any]:
    if columns.fit.turns:
        prompt, completion = columns.conversation("prompt"), columns.tidy(columns.conversation("completion"))
        prompt = columns.begun(prompt)
        columns.ordinary &= turn_columns.joined([prompt, completion]).is_answered()
    else:
        asked, answer = _pair_text(columns)
        prompt = columns.begun(turn_columns.single("user", asked))
        completion = turn_columns.single("assistant", answer)
    if columns.shape == "messages":
        return [turn_columns.joined([prompt, completion]).array()]
    return [prompt.array(), completion.array()]


def _messages(columns: _Columns) -> list[Any]:
    turns = columns.conversation("messages")
    if columns.has("system"):
        system, given = columns.optional("system")
        before = turn_columns.single("system", system, given & ~turns.begins_with("system"))
        turns = turn_columns.joined([before, turns])
    columns.ordinary &= turns.is_answered()
    return [columns.begun(turns).array()]


def _asked(columns: _Columns) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    user = columns.text("instruction" if columns.has("instruction") else "question")
    if columns.has("input"):
        more, given = columns.optional("input")
        if given.any():
            with_input = pc.binary_join_element_wise(user, more, pa.scalar("\n\n"))
            user = pc.if_else(pa.array(given), with_input, user)
    parts = [turn_columns.single("user", user)]
    if columns.has("system"):
        parts.insert(0, turn_columns.single("system", *columns.optional("system")))
    parts.append(
        turn_columns.single("assistant", columns.text("output" if columns.has("output") else "answer", filled=True))
    )
    return [columns.begun(turn_columns.joined(parts)).array()]


def _preferred_texts(columns: _Columns) -> list[Any]:
    import pyarrow.compute as pc

    prompt = columns.text("prompt")
    sides = [columns.text(word, filled=True, spaces=False) for word in ("chosen", "rejected")]
    columns.ordinary &= pc.fill_null(pc.not_equal(*sides), False).to_numpy(zero_copy_only=False)
    if columns.shape == "preference_text":
        return [prompt, *sides]
    asked = turn_columns.single("user", prompt, turn_columns.filled(prompt))
    return [columns.begun(asked).array(), *(turn_columns.single("assistant", side).array() for side in sides)]


def _preferred_turns(columns: _Columns) -> list[Any]:
    """Two dialogues that differ in their last turn only; what stands in the prompt's column is in them, too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if columns.has("prompt"):  # text that may be turns as JSON is looked at more closely
        starts = pc.utf8_slice_codeunits(turn_columns.text(columns.column("prompt")), 0, 1)
        json_text = pc.is_in(starts, value_set=pa.array(["[", "{"]))
        columns.ordinary &= ~json_text.to_numpy(zero_copy_only=False)
    sides = [columns.tidy(columns.conversation(word)) for word in ("chosen", "rejected")]
    for side in sides:
        columns.ordinary &= side.is_answered() & ~side.begins_with("assistant") & (side.lengths > 1)
    one = turn_columns.single("user", pa.nulls(columns.num_rows, pa.string()))  # any turn, so that each row has a last
    padded = [turn_columns.joined([one.taken(~columns.ordinary), side.taken(columns.ordinary)]) for side in sides]
    (prompt, role, chosen), (other, other_role, rejected) = (side.last() for side in padded)
    assistant = ROLES.index("assistant")
    columns.ordinary &= prompt.equals(other) & (role == assistant) & (other_role == assistant)
    columns.ordinary &= pc.fill_null(pc.not_equal(chosen, rejected), False).to_numpy(zero_copy_only=False)
    for answer in (chosen, rejected):
        columns.ordinary &= turn_columns.filled(turn_columns.stripped(answer))
    answers = [turn_columns.single("assistant", answer).array() for answer in (chosen, rejected)]
    return [columns.begun(prompt).array(), *answers]
