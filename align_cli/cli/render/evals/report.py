"""`align eval … report`: scores with their intervals, differences, battles, and what to know before trusting them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from align_cli.cli.render.page import count, emit, grid, heading, is_bounded, lines, pairs
from align_cli.cli.signs import one_line
from align_cli.cli.text import columns

_GAP = 2  # columns between two of a table's
_INDENT = 2


def evaluation(document: Mapping[str, Any], stream: TextIO) -> None:
    """The page of `report.json`; see `evals.report.report` for its keys."""
    blocks: list[RenderableType] = [heading(one_line(document["benchmark"]), _aside(document))]
    scored = [model for model in document["models"] if model["overall"]["n"]]
    if scored:
        named = [(_name(model), model) for model in scored]
        blocks += _table(document, named, _score, "score", stream)
    if any(model["metrics"] for model in document["models"]):
        blocks += [heading("As published", _published(document)), *_metrics(document["models"], stream)]
    if compared := [one for one in document["differences"] if one["overall"]["n"]]:
        title = f"less {one_line(compared[0]['against'])}"
        blocks.append(heading("Differences", f"{title}, on the answers of both that were judged"))
        named = [(Text(one_line(one["model"]), "bold"), one) for one in compared]
        blocks += _table(document, named, _difference, "difference", stream)
        blocks.append(pairs((one_line(one["model"]), _better(one)) for one in compared))
    if document["pairs"]:
        blocks += [heading("Battles", "each judged in both orders"), *_battles(document["pairs"], stream)]
    if behind := list(_behind(document)):
        blocks += [heading("Behind them"), pairs(behind)]
    if document["notes"]:
        blocks += [heading("Notes"), lines(Text(one_line(note), "yellow") for note in document["notes"])]
    emit(stream, *blocks)


def _aside(document: Mapping[str, Any]) -> str:
    judge = f"judged by {one_line(document['judge']['name'])}" if document["judge"] else "not judged yet"
    low, high = document["scale"]
    return f"{count(document['num_questions'], 'question')}, {judge}, {low:g} to {high:g}; ± half a 95 % interval"


def _published(document: Mapping[str, Any]) -> str:
    """Which of the figures models are ranked by."""
    name = next(one["headline"]["name"] for one in document["models"])
    beside = f", held against {one_line(document['reference'])}" if document["reference"] else ""
    return f"ranked by {name}{beside}"


def _metrics(models: Sequence[Mapping[str, Any]], stream: TextIO) -> Iterator[RenderableType]:
    """The benchmark's own figures, the one that counts first; in a pipe a line for each model."""
    first = models[0]["headline"]["name"]
    every = dict.fromkeys(name for one in models for name in one["metrics"])
    values = {name: [one["metrics"].get(name) for one in models] for name in every}
    known = [
        name
        for name, its in values.items()
        if name == first or any(one is not None and not isinstance(one, dict | list) for one in its)
    ]
    names = [first, *(name for name in known if name != first)] if first in known else known
    rows: list[tuple[str | Text, ...]] = [
        (_name(one), *(_figure(one["metrics"].get(name), is_first=name == first) for name in names)) for one in models
    ]
    header = ("", *names)
    if not is_bounded(stream) or (len(models) > 1 and _fits(header, rows, stream)):
        yield grid(header, rows, right=range(1, len(header)), whole=(0,))
        return
    turned: list[tuple[str | Text, ...]] = [
        (name, *(row[number] for row in rows)) for number, name in enumerate(names, start=1)
    ]
    yield grid(("", *(one_line(one["name"]) for one in models)), turned, right=range(1, len(models) + 1), whole=(0,))


def _figure(value: Any, *, is_first: bool) -> Text:
    if value is None:
        return Text("–", "dim")
    return Text(f"{value:.2f}" if isinstance(value, float) else f"{value:,}", "bold" if is_first else "")


def _name(model: Mapping[str, Any]) -> Text:
    return Text(one_line(model["name"]), style="bold")


_Named = Sequence[tuple[Text, Mapping[str, Any]]]
_Cell = Callable[[Mapping[str, Any]], Text]
_Parts = Sequence[tuple[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]]


def _table(
    document: Mapping[str, Any], named: _Named, cell: _Cell, what: str, stream: TextIO
) -> Iterator[RenderableType]:
    """In a pipe a line for each model; else models beside each other, as many as fit, the others below."""
    parts = _parts(document, named[0][1])
    across: list[tuple[str | Text, ...]] = [(name, *(cell(part(one)) for _, part in parts)) for name, one in named]
    header = ("", *(name for name, _ in parts))
    if not is_bounded(stream) or (len(named) > 1 and _fits(header, across, stream)):
        yield grid(header, across, right=range(1, len(header)), whole=(0,))
        return
    rest = list(named)
    while rest:
        if len(rest) < len(named):
            yield Text("")
        most = len(rest)
        while most > 1 and not _fits(*_beside(parts, rest[:most], cell), stream):
            most -= 1
        columns_header, rows = _beside(parts, rest[:most], cell)
        if len(named) == 1:
            columns_header = ("", what)
        elif not _fits(columns_header, rows, stream):
            yield Text("  ").append(rest[0][0])
            columns_header = ("", what)
        yield grid(columns_header, rows, right=range(1, most + 1), whole=(0,))
        rest = rest[most:]


def _beside(parts: _Parts, named: _Named, cell: _Cell) -> tuple[tuple[str, ...], list[tuple[str | Text, ...]]]:
    """A column for each model."""
    rows: list[tuple[str | Text, ...]] = [(name, *(cell(part(one)) for _, one in named)) for name, part in parts]
    return ("", *(name.plain for name, _ in named)), rows


def _parts(document: Mapping[str, Any], first: Mapping[str, Any]) -> _Parts:
    """What is averaged, by name: everything, turns, categories; those that are the same as everything left out."""

    def of(*keys: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
        def part(one: Mapping[str, Any]) -> Mapping[str, Any]:
            found: Any = one
            for key in keys:
                found = found[key]
            return dict(found)

        return part

    turns, categories = list(first["by_turn"]), list(document["categories"])
    return [
        ("overall", of("overall")),
        *((f"turn {turn}", of("by_turn", turn)) for turn in turns if len(turns) > 1),
        *((one_line(name) or "(none)", of("by_category", name)) for name in categories if len(categories) > 1),
    ]


def _fits(header: Sequence[str], rows: Sequence[Sequence[str | Text]], stream: TextIO) -> bool:
    plain = [[one if isinstance(one, str) else one.plain for one in row] for row in (header, *rows)]
    wide = sum(max(cell_len(one) for one in column) + _GAP for column in zip(*plain, strict=True))
    return wide + _INDENT <= columns(stream)


def _score(one: Mapping[str, Any]) -> Text:
    if one["value"] is None:
        return Text("–", "dim")
    return Text(f"{one['value']:.2f}").append(_wide(one, 1, 2), "dim")


def _difference(one: Mapping[str, Any]) -> Text:
    """In colour where the interval leaves out 0."""
    if one["value"] is None:
        return Text("–", "dim")
    is_clear = one["low"] is not None and not one["low"] <= 0 <= one["high"]
    style = ("green" if one["value"] > 0 else "red") if is_clear else ""
    return Text(f"{one['value']:+.2f}", style).append(_wide(one, 1, 2), "dim")


def _share(one: Mapping[str, Any]) -> Text:
    if one["value"] is None:
        return Text("–", "dim")
    return Text(f"{one['value'] * 100:.1f} %").append(_wide(one, 100, 0), "dim")


def _wide(one: Mapping[str, Any], scale: float, digits: int) -> str:
    return "" if one["low"] is None else f" ± {(one['high'] - one['low']) / 2 * scale:.{digits}f}"


def _battles(found: Sequence[Mapping[str, Any]], stream: TextIO) -> Iterator[RenderableType]:
    shown = (
        ("win", "win"), ("tie", "tie"), ("loss", "loss"), ("adjusted", "ties half"), ("consistent", "consistent"),
        ("leans_first", "leans to first"), ("leans_second", "to second"),
    )  # fmt: skip
    header = ("", "battles", *(name for _, name in shown))
    rows: list[tuple[str | Text, ...]] = [
        (_pair(pair), f"{pair['win']['n']:,}", *(_share(pair[key]) for key, _ in shown)) for pair in found
    ]
    if not is_bounded(stream) or _fits(header, rows, stream):
        yield grid(header, rows, right=range(1, len(header)), whole=(0,))
        return
    for pair, row in zip(found, rows, strict=True):
        yield Text("  ").append(_pair(pair))
        yield grid(("", ""), [(name, cell) for name, cell in zip(header[1:], row[1:], strict=True)], right=(1,))


def _pair(pair: Mapping[str, Any]) -> Text:
    opponent = one_line(pair["opponent"]) if pair["opponent"] else "all others"
    return Text(one_line(pair["model"]), "bold").append(f" against {opponent}", "not bold")


def _better(one: Mapping[str, Any]) -> str:
    return f"{one['better']:,} answers better, {one['equal']:,} equal, {one['worse']:,} worse"


def _behind(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How much there is of each model, and what judging it took; said once where it is the same of all."""
    said = {one_line(model["name"]): ", ".join(_amounts(model)) for model in document["models"]}
    if len(said) > 1 and len(set(said.values())) == 1:
        said = {"each model": next(iter(said.values()))}
    yield from ((name, words) for name, words in said.items() if words)
    if document["spent_on_games"]["requests"]:
        spent = document["spent_on_games"]
        yield "battles", ", ".join([count(spent["requests"], "game"), *_spent(spent)])


def _amounts(model: Mapping[str, Any]) -> list[str]:
    counts = model["counts"]
    words = [f"{count(counts['answers'], 'answer')} of {counts['turns']:,} turns"] if counts["answers"] else []
    if counts["judgments"]["ok"]:
        words.append(count(counts["judgments"]["ok"], "verdict"))
    if counts["new_tokens"]:
        words.append(f"{counts['new_tokens']:,} tokens answered")
    return words + _spent(model["spent"])


def _spent(spent: Mapping[str, Any]) -> list[str]:
    words = []
    if spent["prompt_tokens"] or spent["completion_tokens"]:
        words.append(f"{spent['prompt_tokens']:,} tokens to the judge and {spent['completion_tokens']:,} from it")
    if spent["cost_usd"] is not None:
        words.append(f"${spent['cost_usd']:,.2f}")
    return words
