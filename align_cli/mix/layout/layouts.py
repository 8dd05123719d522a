"""Which layout a source's rows have: recognised from their columns and values, or named in the recipe.

The facts are in `layouts.toml`; this module is the only one that reads them.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from align_cli.mix.layout import intent, values
from align_cli.mix.layout.intent import TEXT_LAYOUTS
from align_cli.mix.layout.values import unpacked
from align_cli.recipe.schema import Source

__all__ = ["NUM_SAMPLES", "TEXT_LAYOUTS", "Fit", "Layout", "LayoutError", "layouts", "recognise", "unpacked"]

#: What the column of a word holds unless the layout says otherwise; every other word is text.
FORMS = {
    "messages": "turns",
    "prompt": "turns or text",
    "completion": "turns or text",
    "chosen": "side",
    "rejected": "side",
    "label": "flag",
    "winner": "winner",
}
#: Words that a layout may have and whose columns are looked at when a row is read, not before.
_UNCHECKED = ("tools", "chat_template_kwargs", "input", "system", "history")
#: A few rows are enough to see a layout, and a first row that is bad must not hide it.
NUM_SAMPLES = 64
_TURN_WORDS = ("role", "content")
_SHAPES = {"prompt_completion": "pair", "preference": "preference", "unpaired": "unpaired", "prompt": "prompt"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """One way to spell what we train on; see layouts.toml."""

    name: str
    kind: str
    summary: str
    needs: Mapping[str, tuple[str, ...]]
    may: Mapping[str, tuple[str, ...]]
    role: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    roles: Mapping[str, str]
    family: str
    named: bool = False
    turns: bool = False
    speakers: bool = False
    forms: Mapping[str, str]
    call_roles: tuple[str, ...] = ()
    call_key: str = ""
    result_key: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """A layout and the columns and keys of one source that fill it."""

    layout: Layout
    picks: Mapping[str, str]
    """Our word -> column."""
    role: str = "role"
    content: str = "content"
    turns: bool = True
    """Whether prompt, completion and sides become lists of turns; text otherwise."""
    in_order: bool = False
    """Speakers have names that say nothing: the first of each row is the user, the second the assistant."""

    @property
    def shape(self) -> str:
        """What the rows become: a key of `columns.COLUMNS`."""
        prefix = _SHAPES.get(self.layout.kind)
        return f"{prefix}_{'turns' if self.turns else 'text'}" if prefix else self.layout.kind


class LayoutError(Exception):
    """No layout fits; `tried` says why, one line for each."""

    def __init__(self, message: str, tried: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.tried = tuple(tried)
        self.hint = hint


@cache
def layouts() -> Mapping[str, Layout]:
    """Every layout by name, in the order in which they are tried."""
    table = tomllib.loads((files(__package__) / "layouts.toml").read_text(encoding="utf-8"))
    made: dict[str, Layout] = {}
    for name, spec in table.items():
        for word in ("needs", "may"):
            spec[word] = {ours: tuple(columns) for ours, columns in spec[word].items()}
        lists = {key: tuple(spec.get(key, ())) for key in ("role", "content", "call_roles")}
        rest = {"roles": {}, "family": name, **spec, **lists, "forms": FORMS | spec.get("forms", {})}
        made[name] = Layout(name=name, **rest)
    return made


def recognise(rows: Sequence[Mapping[str, Any]], source: Source, kinds: Iterable[str]) -> Fit:
    """The first layout that fits some sample rows and gives one of `kinds`.

    Raises:
        LayoutError: none fits, the named one does not exist or does not fit, or `columns` names what is not there.
    """
    kinds = tuple(kinds)
    present = list(dict.fromkeys(column for row in rows for column in row))
    if source.keep_columns:
        present = [column for column in present if column in source.keep_columns]
    starred = any(column.endswith("*") for column in source.columns.values())
    candidates = [
        layout
        for layout in layouts().values()
        if layout.kind in kinds and (not layout.named or (starred and "numbered" in layout.forms.values()))
    ]
    if source.layout and source.layout not in TEXT_LAYOUTS:
        candidates = _named(source.layout, kinds)
    _check_columns(source, present, candidates)
    tried: list[tuple[Layout, str]] = []
    for layout in candidates:
        fit = _fit(layout, rows, present, source)
        reason = fit if isinstance(fit, str) else intent.doubt(fit, rows, present, source)
        if not reason:
            assert isinstance(fit, Fit)
            return fit
        tried.append((layout, reason))
    tried.sort(key=lambda one: -_nearness(one[0], rows, present, source))
    nearest = tried[0][0] if tried and _nearness(tried[0][0], rows, present, source) > 0 else None
    raise LayoutError(
        f"the rows fit no layout; their columns are {values.listed(present)}",
        [f"{layout.name} ({layout.summary}): {reason}" for layout, reason in tried],
        intent.advice(
            rows,
            present,
            source,
            kinds,
            nearest=nearest.kind if nearest else "",
            bad_flag=_bad_flag(nearest, rows, present, source) if nearest else "",
            meant_for=_kind_that_fits(rows, present, source, kinds),
        ),
    )


def _nearness(layout: Layout, rows: Sequence[Mapping[str, Any]], present: Sequence[str], source: Source) -> float:
    """How much of what the layout needs is there, from 0 to 1; a column that holds something else counts half."""
    found = 0.0
    for word in layout.needs:
        column = _column(layout, word, present, source)
        if column is not None:
            cells = [value for row in rows if (value := row.get(column)) is not None]
            found += 0.5 if isinstance(_read(layout, word, cells, source), str) else 1
    return found / max(len(layout.needs), 1)


def _column(layout: Layout, word: str, present: Sequence[str], source: Source) -> str | None:
    if layout.forms.get(word) == "numbered":
        return values.numbered_prefix(present, source.columns.get(word)) or None
    names = (source.columns[word],) if word in source.columns else layout.needs[word]
    return next((name for name in names if name in present), None)


def _bad_flag(layout: Layout, rows: Sequence[Mapping[str, Any]], present: Sequence[str], source: Source) -> str:
    """The column of the label, where it alone keeps the rows from the layout: it holds no truth values."""
    if "label" not in layout.needs or None in [_column(layout, word, present, source) for word in layout.needs]:
        return ""
    column = str(_column(layout, "label", present, source))
    return column if values.unlike("flag", [row[column] for row in rows if row.get(column) is not None]) else ""


def _kind_that_fits(
    rows: Sequence[Mapping[str, Any]], present: Sequence[str], source: Source, kinds: Sequence[str]
) -> str:
    """The kind of rows, of those that are not asked for, that these are; "" where they are none."""
    if source.layout or source.columns:
        return ""
    fitting = set()
    for layout in layouts().values():
        if layout.kind not in kinds and not layout.named and not isinstance(_fit(layout, rows, present, source), str):
            fitting.add(layout.kind)
    # What says more of the rows comes first: judged answers are prompts and completions, too.
    return next(
        (kind for kind in ("preference", "unpaired", "messages", "prompt_completion", "text") if kind in fitting), ""
    )


def _named(name: str, kinds: Sequence[str]) -> list[Layout]:
    """The layouts of that name or family that give one of `kinds`."""
    called = name.replace("-", "_")
    found = [layout for layout in layouts().values() if called in (layout.name, layout.family)]
    if not found:
        known = dict.fromkeys(word for layout in layouts().values() for word in (layout.family, layout.name))
        near = difflib.get_close_matches(called, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"layouts: {', '.join([*known, *TEXT_LAYOUTS])}"
        raise LayoutError(f'there is no layout "{name}"', hint=hint)
    fitting = [layout for layout in found if layout.kind in kinds]
    if not fitting:
        gives = " or ".join(dict.fromkeys(layout.kind for layout in found))
        raise LayoutError(f'the layout "{name}" gives {gives} rows, and this task trains on {" or ".join(kinds)}')
    return fitting


def _check_columns(source: Source, present: Sequence[str], candidates: Sequence[Layout]) -> None:
    """Refuse a `columns` that names what does not exist, or a column twice."""
    words = {word for layout in candidates for word in (*layout.needs, *layout.may)} | set(_TURN_WORDS)
    columns = {word: column for word, column in source.columns.items() if word not in _TURN_WORDS}
    absent = [column for column in columns.values() if column not in present and not column.endswith("*")]
    if absent:
        raise LayoutError(
            f'there is no column "{absent[0]}", which columns: names', hint=f"the columns are {values.listed(present)}"
        )
    for word in source.columns:
        if word not in words:
            near = difflib.get_close_matches(word, words, n=1)
            raise LayoutError(
                f'columns: names "{word}", which no layout here has',
                hint=f"did you mean {near[0]}?" if near else f"the words are {', '.join(sorted(words))}",
            )
    by_column: dict[str, str] = {}
    for word, column in columns.items():
        if column in by_column:
            raise LayoutError(
                f'columns: names the column "{column}" twice, for {by_column[column]} and for {word}',
                hint="name each column once",
            )
        by_column[column] = word


def _fit(layout: Layout, rows: Sequence[Mapping[str, Any]], present: Sequence[str], source: Source) -> Fit | str:
    """How the layout fits, or why it does not."""
    foreign = [word for word in source.columns if word not in (*layout.needs, *layout.may, *_TURN_WORDS)]
    if foreign:
        return f'it has no "{foreign[0]}", which columns: names'
    picks: dict[str, str] = {}
    keys: tuple[str, str] | None = None
    for word, names in (*layout.needs.items(), *layout.may.items()):
        if word in source.columns:
            options = [column for column in (source.columns[word],) if column in present]
        else:
            taken = [*source.columns.values(), *picks.values()]
            options = [name for name in names if name in present and name not in taken]
        if layout.forms.get(word) == "numbered":
            prefix = values.numbered_prefix(present, source.columns.get(word))
            if not prefix:
                return "it needs numbered columns of one name: columns: {messages: NAME*}"
            picks[word] = prefix
            continue
        if not options:
            if word in layout.needs:
                return f"no column {source.columns.get(word) or ' or '.join(names[:3])}"
            continue
        if word in _UNCHECKED:
            picks[word] = options[0]
            continue
        reason = ""
        for column in options:
            cells = [value for row in rows if (value := row.get(column)) is not None]
            given = _read(layout, word, cells, source)
            if isinstance(given, str):
                reason = reason or f'"{column}" {given}'
                continue
            keys = given or keys
            picks[word], reason = column, ""
            break
        if reason and (word in layout.needs or word in source.columns):
            return reason
    fit = Fit(layout, picks, *(keys or ("role", "content")), layout.turns or keys is not None)
    if layout.speakers:
        return _spoken(fit, rows, source)
    if layout.kind == "preference" and "prompt" in layout.may and "prompt" not in picks and "chosen" in picks:
        return _promptless(fit, rows)
    return fit


def _read(layout: Layout, word: str, cells: Sequence[Any], source: Source) -> tuple[str, str] | str | None:
    """The turns' keys when a column holds turns, None when it holds what it should, else why it does not."""
    form = layout.forms.get(word, "text")
    if form in ("flag", "winner", "dialogue", "text"):
        return values.unlike(form, cells)
    role_keys = (source.columns["role"],) if "role" in source.columns else layout.role
    if form == "turns":
        lists = [unpacked(cell) for cell in cells]
        if lists and not any(isinstance(value, list) for value in lists):
            return f"holds {values.kind(lists[0])}, not a list of turns"
    else:
        lists = [turns for cell in cells if (turns := values.turns_in(cell, role_keys)) is not None]
        if not lists and form == "turn":
            return f"holds {values.kind(cells[0])}, not a turn" if cells else None
        if not lists:
            return values.unlike("text", cells)
        texts = sum(isinstance(cell, str) for cell in cells)
        if form != "turn" and texts > len(cells) / 2 and isinstance(_turn_keys(layout, lists, source), str):
            return None  # text; a row that holds something else is a bad row, and is named when it is read
    return _turn_keys(layout, [value for value in lists if isinstance(value, list)], source)


def _turn_keys(layout: Layout, lists: Sequence[Any], source: Source) -> tuple[str, str] | str:
    """The turns' keys for role and content, or why these are no turns of the layout."""
    items = [item for value in lists for item in (values.flat(value) if layout.speakers else value)]
    turns = [turn for turn in items if isinstance(turn, dict)]
    if not turns:
        if items:
            return f"is a list whose items are {values.kind(items[0])}, not turns"
        return layout.role[0], layout.content[0]  # empty lists only: the rows are bad, not the layout
    keys = list(dict.fromkeys(key for turn in turns for key in turn))
    found = []
    for word, names in (("role", layout.role), ("content", layout.content)):
        names = (source.columns[word],) if word in source.columns else names
        name = next((name for name in names if name in keys), None)
        if name is None:
            if word == "content" and layout.call_key in keys:
                name = names[0]
            else:
                return f"has turns with {values.listed(keys)}, not {' or '.join(names)}"
        found.append(name)
    return found[0], found[1]


def _spoken(fit: Fit, rows: Sequence[Mapping[str, Any]], source: Source) -> Fit | str:
    """The fit with speakers whose part is known by their name, or by the order in which they speak if that is asked."""
    cells = [unpacked(row.get(fit.picks["messages"])) for row in rows]
    turns = [turn for cell in cells if isinstance(cell, list) for turn in values.flat(cell) if isinstance(turn, dict)]
    names = dict.fromkeys(str(turn.get(fit.role)) for turn in turns)
    if not names and not source.layout:
        return f'"{fit.picks["messages"]}" holds no utterance'
    if all(name in fit.layout.roles or name in ("user", "assistant", "system", "tool") for name in names):
        return fit
    if source.layout:
        return Fit(fit.layout, fit.picks, fit.role, fit.content, fit.turns, in_order=True)
    return (
        f'it knows no speaker "{next(iter(names))[:40]}"; layout: speakers takes the first who speaks as the user'
        " and the second as the assistant"
    )


def _promptless(fit: Fit, rows: Sequence[Mapping[str, Any]]) -> Fit | str:
    """Pairs without a prompt are of use when the prompt stands in both sides."""
    column = fit.picks["chosen"]
    if not fit.turns:
        return f'no column prompt, and "{column}" holds text'
    sides = [values.turns_in(row.get(column), (fit.role,)) or () for row in rows]
    roles = {str(turn.get(fit.role)) for side in sides for turn in side if isinstance(turn, dict)}
    if roles <= {"assistant"}:
        return f'no column prompt, and "{column}" holds the answer only'
    return fit
