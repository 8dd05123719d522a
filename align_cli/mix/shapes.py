"""What shape each source's rows have, and the one shape in which they can all be one mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from align_cli.errors import DataError, Problem
from align_cli.mix import layouts, read
from align_cli.mix.faults import fault
from align_cli.mix.locate import Located
from align_cli.mix.opening import spoilt

#: Shape -> row kind.
KINDS = {
    "messages": "messages",
    "pair_turns": "prompt_completion",
    "pair_text": "prompt_completion",
    "text": "text",
}


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
        where = read.place_of(first, unread.place) if unread else first.shown
        raise fault(where, reason, 'expected one JSON object a row, such as {"messages": […]}')
    try:
        return layouts.recognise(samples, source, kinds)
    except layouts.LayoutError as error:
        raise unfit(error, source.label) from None


def unfit(error: layouts.LayoutError, where: str) -> DataError:
    """The error for a source that no layout fits, with what was tried and why each did not match."""
    problems = [Problem(str(error), where, error.hint)]
    problems += [Problem(f"not {line}", where) for line in error.tried]
    return DataError("the data cannot be used", problems=problems)


def common(located: Sequence[Located], fits: Sequence[layouts.Fit], kinds: Sequence[str]) -> tuple[str, list[str]]:
    """The shape that all sources' rows can take, and a note for each source whose rows change theirs.

    Raises:
        DataError: there is none.
    """
    found = {fit.shape for fit in fits}
    if len(found) == 1:
        return found.pop(), []
    if "text" in found:
        listed = ", ".join(f"{one.source.label}: {fit.layout.name}" for one, fit in zip(located, fits, strict=True))
        raise DataError(
            "plain text and conversations cannot be one mixture",
            hint="train on them one after the other, or give the text a chat layout",
            problems=[Problem(f"the layouts are {listed}", "mixture")],
        )
    shape = "messages" if "messages" in found and "messages" in kinds else "pair_turns"
    notes = []
    for one, fit in zip(located, fits, strict=True):
        if fit.shape != shape:
            how = "turns of a conversation, like the other sources' rows" if shape == "messages" else "turns"
            notes.append(f"{one.source.label}: prompt and completion became a user's and an assistant's {how}")
    return shape, notes
