"""What can be known of a mixture without work: for a dry run. No network, no heavy import, small files only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from align_cli.errors import DataError, Problem
from align_cli.mix.layout import layouts, shapes
from align_cli.mix.reading import read
from align_cli.mix.sources.formats import File
from align_cli.mix.sources.locate import Located, locate
from align_cli.recipe.schema import Mixture, Source

_COUNTED_BYTES = 16 << 20  # lines of more than this are not counted: about 20 ms
_PARSED_BYTES = 1 << 20  # and files whose rows are not lines are only parsed up to here
_NUM_PEEKED = 8  # rows that are looked at for the layout


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFact:
    """One source, as far as it is known before the build."""

    label: str
    path: str
    kind: str
    """`file`, `folder`, `glob`, `saved`, `package`, `shipped`, `hub`; empty when nothing was found."""
    exists: bool | None
    """None: on the Hub, which is not asked."""
    available: int | None
    """Rows, blank lines not counted; None when counting would be work."""
    size: int | None
    """Bytes on disk."""
    layout: str
    """The layout of its first rows; empty when it was not looked for."""
    for_eval: bool
    problems: tuple[Problem, ...]
    """All that is already known to be wrong with it."""
    shape: str = ""
    """What its rows become (see `layout.columns`); empty when it was not looked for."""
    columns: tuple[str, ...] = ()
    """Columns of its first rows; empty when they were not looked at."""
    notes: tuple[str, ...] = ()
    """What the reader should know of how it is read: the splits that are not, who counts as the user."""


def describe(mixture: Mixture, kinds: Sequence[str] = ()) -> list[SourceFact]:
    """A fact for each training and evaluation source, in order.

    With the row kinds of the task, the first rows of text files are held against the layouts too.
    """
    left = _COUNTED_BYTES
    facts = []
    shapes_seen: list[str | None] = []
    for source, for_eval in [(one, False) for one in mixture.sources] + [(one, True) for one in mixture.eval]:
        fact, fit, read_bytes = _fact(source, kinds, for_eval, left)
        facts.append(fact)
        shapes_seen.append(fit.shape if fit else None)
        left -= read_bytes
    # Text beside conversations becomes turns: only where all is text a system prompt has no place.
    if shapes_seen and (shape := shapes_seen[0]) and set(shapes_seen) == {shape}:
        for number, source in enumerate((*mixture.sources, *mixture.eval)):
            try:
                shapes.check_system([source], shape)
            except DataError as error:
                facts[number] = replace(facts[number], problems=(*facts[number].problems, *error.problems))
            if shape.endswith("_text"):
                said = f"{facts[number].label}: prompts and answers are plain text: no chat template is applied"
                facts[number] = replace(facts[number], notes=(*facts[number].notes, said))
    return facts


def _fact(
    source: Source, kinds: Sequence[str], for_eval: bool, left: int
) -> tuple[SourceFact, layouts.Fit | None, int]:
    problems: tuple[Problem, ...] = ()
    try:
        shapes.check_where(source, ())
    except DataError as error:
        problems = _problems(error, source)
    try:
        located = locate(source)
    except DataError as error:
        fact = SourceFact(
            label=source.label, path=source.path, kind="", exists=False, available=None, size=None, layout="",
            for_eval=for_eval, problems=(*problems, *_problems(error, source)),
        )  # fmt: skip
        return fact, None, 0
    files = list(dict.fromkeys(file for part in located.parts for file in part.files))
    size = sum(file.path.stat().st_size for file in files) if files else None
    available: int | None = None
    fit: layouts.Fit | None = None
    samples: list[dict[str, Any]] = []
    try:
        samples = _samples(located) if kinds and files else []
        if samples and not problems:
            shapes.check_where(source, samples)
        fit = _fit(located, samples, kinds) if samples else None
        available = _available(located, left)
    except DataError as error:
        problems = (*problems, *_problems(error, source))
    fact = SourceFact(
        label=source.label,
        path=source.path,
        kind=located.kind,
        exists=True if files else None,
        available=available,
        size=size,
        layout=fit.layout.name if fit else "",
        shape=fit.shape if fit else "",
        for_eval=for_eval,
        problems=problems,
        columns=tuple(dict.fromkeys(column for row in samples for column in row)),
        notes=(*located.notes, *(_notes(fit, source) if fit else ())),
    )
    return fact, fit, (size or 0) if available is not None else 0


def _samples(located: Located) -> list[dict[str, Any]]:
    """The first rows of text files."""
    file = located.parts[0].files[0]
    if file.format in ("parquet", "arrow"):
        return []  # reading them needs pyarrow, and that is a fifth of a second
    records = islice(read.rows(file), _NUM_PEEKED)
    return [record.row for record in records if isinstance(record.row, dict)]


def _fit(located: Located, samples: Sequence[dict[str, Any]], kinds: Sequence[str]) -> layouts.Fit:
    try:
        return layouts.recognise(samples, located.source, kinds)
    except layouts.LayoutError as error:
        raise shapes.unfit(error, located.source.label) from None


def _notes(fit: layouts.Fit, source: Source) -> tuple[str, ...]:
    """What the layout decides that its author may not expect."""
    if fit.in_order:
        return (f"{source.label}: the first who speaks in a row is the user, the second the assistant",)
    if fit.layout.forms.get("messages") == "numbered":
        return (
            f"{source.label}: the columns \"{fit.picks['messages']}\" 1, 2, … are the user's and the assistant's turns",
        )
    if fit.layout.name == "labelled_preference" and "prompt" not in fit.picks:
        return (f"{source.label}: these pairs have no prompt",)
    if fit.layout.name == "prompt_messages":
        return (f"{source.label}: what follows the last turn of the user is left out",)
    return ()


def _available(located: Located, left: int) -> int | None:
    """Rows after the split expression; None when that cannot be counted cheaply."""
    counts: dict[File, int] = {}
    total = 0
    if not located.parts:
        return None
    for part in located.parts:
        num_rows = 0
        for file in part.files:
            if file not in counts:
                size = file.path.stat().st_size
                count = _count(file, left)
                if count is None:
                    return None
                left -= size
                counts[file] = count
            num_rows += counts[file]
        start, stop = part.slice.bounds(num_rows)
        total += stop - start
    return total


def _count(file: File, left: int) -> int | None:
    size = file.path.stat().st_size
    if file.path.name.endswith(".gz") or size > left:
        return None
    if file.format in ("jsonl", "txt"):
        with file.path.open("rb") as lines:
            return sum(1 for line in lines if not line.isspace())
    if file.format in ("json", "csv", "tsv") and size <= _PARSED_BYTES:
        return sum(1 for _ in read.rows(file))
    return None


def _problems(error: DataError, source: Source) -> tuple[Problem, ...]:
    return error.problems or (Problem(error.message, source.label, error.hint),)
