"""What shape each source's rows have, and the one shape in which they can all be one mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from align_cli.errors import DataError, Problem
from align_cli.mix.faults import fault
from align_cli.mix.layout import layouts, where
from align_cli.mix.layout.columns import COLUMNS
from align_cli.mix.layout.turns import BadRowError
from align_cli.mix.reading import read
from align_cli.mix.sources.locate import Located
from align_cli.mix.sources.opening import spoilt
from align_cli.recipe.schema import Source

_MOST_TRIED = 3  # layouts whose reason is shown


def recognise(located: Located, kinds: Sequence[str]) -> layouts.Fit:
    """The source's layout, from its first rows.

    Raises:
        DataError: no row at its start can be read, or no layout fits; each layout that was tried is a problem.
    """
    source = located.source
    samples: list[dict[str, Any]] = []
    for part in located.parts:
        for file in part.files:
            if source.layout in layouts.TEXT_LAYOUTS and file.format != "txt":
                raise spoilt(file, f"the layout {source.layout} is for .txt files", "leave layout out")
            for record in read.rows(file, text_unit="lines"):
                if isinstance(record.row, dict):
                    samples.append(record.row)
                if len(samples) >= layouts.NUM_SAMPLES or record.place > 20 * layouts.NUM_SAMPLES:
                    break
            if samples:
                break
        if samples:
            break
    if not samples:
        first = located.parts[0].files[0]
        unread = next(iter(read.rows(first)), None)
        reason = unread.fault if unread and unread.fault else "its rows are no objects with named columns"
        place = read.place_of(first, unread.place) if unread else first.shown
        raise fault(place, reason, 'expected one JSON object a row, such as {"messages": […]}')
    check_where(source, samples)
    try:
        return layouts.recognise(samples, source, kinds)
    except layouts.LayoutError as error:
        raise unfit(error, source.label) from None


def check_where(source: Source, samples: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a filter that cannot be read, names a column that none of the sample rows has, or suits none of them.

    Raises:
        DataError: what is wrong with it.
    """
    if not source.where:
        return
    try:
        found = where.compiled(source.where)
        if samples:
            where.check_columns(found, list(dict.fromkeys(column for row in samples for column in row)))
    except where.WhereError as error:
        raise fault(source.label, str(error), error.hint) from None
    clash: BadRowError | None = None
    for row in samples:
        try:
            found(row)
        except BadRowError as error:
            clash = clash or error
        else:
            return
    if clash:
        raise fault(source.label, str(clash), clash.hint)


def unfit(error: layouts.LayoutError, where: str) -> DataError:
    """The error for a source that no layout fits, with the nearest layouts and why each did not match."""
    problems = [Problem(str(error), where, error.hint)]
    shown = error.tried if len(error.tried) <= _MOST_TRIED + 1 else error.tried[:_MOST_TRIED]
    problems += [Problem(f"not {line}", where) for line in shown]
    if rest := len(error.tried) - len(shown):
        problems.append(Problem(f"nor {rest} more layouts, none of them nearer (docs: Bring your data)", where))
    return DataError("the data cannot be used", problems=problems)


def common(located: Sequence[Located], fits: Sequence[layouts.Fit], kinds: Sequence[str]) -> tuple[str, list[str]]:
    """The shape that all sources' rows can take, and a note for each source whose rows change theirs.

    Raises:
        DataError: there is none, or a source has a system prompt for rows that have no turns.
    """
    found = {fit.shape for fit in fits}
    of_kinds = {fit.layout.kind for fit in fits}
    if len(found) == 1:
        shape = found.pop()
    elif len(of_kinds) == 1:
        shape = next(shape for shape in found if shape.endswith("_turns"))
    elif of_kinds == {"messages", "prompt_completion"}:
        shape = "messages" if "messages" in kinds else "pair_turns"
    else:
        raise _mixed(located, fits)
    check_system([one.source for one in located], shape)
    notes = []
    for one, fit in zip(located, fits, strict=True):
        if fit.shape != shape:
            names = " and ".join(name for name, form in COLUMNS[fit.shape] if form in ("turns", "text"))
            how = "turns of a conversation, like the other sources' rows" if shape == "messages" else "turns"
            pair = fit.layout.kind == "prompt_completion"
            became = (
                f"prompt and completion became a user's and an assistant's {how}" if pair else f"{names} became turns"
            )
            notes.append(f"{one.source.label}: {became}")
    return shape, notes


def check_system(sources: Sequence[Source], shape: str) -> None:
    """Refuse a system prompt for rows without turns.

    Raises:
        DataError: each source that has one.
    """
    if shape != "text" and not shape.endswith("_text"):
        return
    message = "system: is for conversations, and these rows are plain text, which no chat template touches"
    pair = shape == "pair_text"
    hint = "take system out" + (
        "; or columns: {instruction: PROMPT, output: COMPLETION} makes them conversations" * pair
    )
    problems = [Problem(message, source.label, hint) for source in sources if source.system]
    if problems:
        raise DataError("the data cannot be used", problems=problems)


def _mixed(located: Sequence[Located], fits: Sequence[layouts.Fit]) -> DataError:
    """The error for sources whose rows cannot be one mixture."""
    listed = ", ".join(f"{one.source.label}: {fit.layout.name}" for one, fit in zip(located, fits, strict=True))
    if any(fit.shape == "text" for fit in fits):
        message = "plain text and conversations cannot be one mixture"
        hint = "train on them one after the other, or give the text a chat layout"
    else:
        kinds = " and ".join(sorted({fit.layout.kind for fit in fits}))
        message = f"{kinds} rows cannot be one mixture"
        hint = "train on them one after the other, or name the same layout for each"
    return DataError(message, hint=hint, problems=[Problem(f"the layouts are {listed}", "mixture")])
