"""`align eval arena report`: ratings, who is told apart from whom, raters, and what to know before trusting it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from align_cli.cli.render.page import count, emit, grid, heading, is_bounded, lines, pairs
from align_cli.cli.signs import one_line
from align_cli.cli.text import columns
from align_cli.evals.arena.tables import votes_said

_GAP, _INDENT = 2, 2  # columns between two of a table's, and before the first
_CLOSEST = 8  # pairs that are listed
_RATERS = 12
_Row = Sequence[str | Text]


def arena(document: Mapping[str, Any], stream: TextIO) -> None:
    """The page of `report.json`; see `evals.arena.report` for its keys."""
    blocks: list[RenderableType] = [heading("Arena", _aside(document)), _ratings(document, stream)]
    if (matrix := _matrix(document, stream)) is not None:
        blocks += [heading("Against each other", "share won by the model on the left, a tie counting half"), matrix]
    blocks += _close(document, stream)
    blocks += _style(document)
    blocks += _raters(document, stream)
    blocks += [heading("Behind them"), pairs(_facts(document))]
    if document["notes"]:
        blocks += [heading("Notes"), lines(Text(one_line(note), "yellow") for note in document["notes"])]
    emit(stream, *blocks)


def _aside(document: Mapping[str, Any]) -> str:
    method = document["method"]
    sandwich = "sandwich, by rater" if method["cluster_by_rater"] else "sandwich"
    how = sandwich if method["interval"] == "sandwich" else f"bootstrap, {count(method['rounds'], 'round')}"
    anchor = method["anchor"]
    scale = "mean 1000" if anchor is None else f"{one_line(anchor['model'])} at {anchor['rating']:g}"
    return f"{count(document['battles'], 'vote')}; Bradley–Terry, {scale}; 95 % intervals ({how})"


def _ratings(document: Mapping[str, Any], stream: TextIO) -> RenderableType:
    header = ("rank", "", "rating", "95 %", "votes", "won", "lost", "tied", "share")
    rows: list[_Row] = [
        (
            f"{one['rank']}",
            Text(one_line(one["model"]), "bold"),
            f"{one['rating']:.0f}",
            Text(f"{one['low']:.0f}–{one['high']:.0f}", "dim"),
            f"{one['battles']:,}",
            f"{one['wins']:,}",
            f"{one['losses']:,}",
            f"{one['ties']:,}",
            f"{one['share']:.0%}",
        )
        for one in document["models"]
    ]
    if _fits(header, rows, stream):
        return grid(header, rows, right=(0, *range(2, 9)), whole=(1,))
    return grid(header[:4], [row[:4] for row in rows], right=(0, 2, 3))


def _matrix(document: Mapping[str, Any], stream: TextIO) -> RenderableType | None:
    """Only where the line has room for it; the page always shows it."""
    names = [one_line(one["model"]) for one in document["models"]]
    shares: dict[tuple[str, str], float] = {}
    for pair in document["pairs"]:
        if pair["share"] is not None:
            shares[pair["better"], pair["other"]] = pair["share"]
            shares[pair["other"], pair["better"]] = 1 - pair["share"]
    header = ("", *names)
    keys = [one["model"] for one in document["models"]]
    rows: list[_Row] = [
        (
            Text(name, "bold"),
            *(Text("·", "dim") if (key, other) not in shares else f"{shares[key, other]:.0%}" for other in keys),
        )
        for name, key in zip(names, keys, strict=True)
    ]
    if len(names) < 3 or not _fits(header, rows, stream):
        return None
    return grid(header, rows, right=range(1, len(header)), whole=(0,))


def _close(document: Mapping[str, Any], stream: TextIO) -> Iterator[RenderableType]:
    close = [pair for pair in document["pairs"] if not pair["is_separated"]]
    if not close:
        yield heading("Told apart", "every two models, at 95 %")
        return
    close.sort(key=lambda pair: (pair["further_votes"] is None, pair["further_votes"] or 0))
    told = f"{len(close):,} of {count(len(document['pairs']), 'pair')}; votes between the two that would settle it"
    yield heading("Not told apart yet", told)
    header = ("", "difference", "95 %", "their votes", "further votes")
    rows: list[_Row] = [
        (
            Text(one_line(pair["better"]), "bold").append(f" – {one_line(pair['other'])}", "not bold"),
            f"{pair['difference']:.0f}",
            Text(f"{pair['low']:.1f} to {pair['high']:.1f}", "dim"),
            f"{pair['battles']:,}",
            votes_said(pair["further_votes"]),
        )
        for pair in close[:_CLOSEST]
    ]
    if _fits(header, rows, stream):
        yield grid(header, rows, right=range(1, 5), whole=(0,))
    else:
        yield grid(("", "further votes"), [(row[0], row[-1]) for row in rows], right=(1,))


def _style(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    style = document["style"]
    if style is None or not style["effects"]:
        return
    yield heading("With length and Markdown controlled", f"{count(style['battles'], 'vote')} whose answers are known")
    plain = {one["model"]: one["rating"] for one in document["models"]}
    rows: list[_Row] = [
        (
            f"{one['rank']}",
            Text(one_line(one["model"]), "bold"),
            f"{one['rating']:.0f}",
            Text(f"{one['low']:.0f}–{one['high']:.0f}", "dim"),
            f"{one['rating'] - plain[one['model']]:+.0f}",
        )
        for one in style["models"]
    ]
    yield grid(("rank", "", "rating", "95 %", "change"), rows, right=(0, 2, 3, 4))
    said = (
        f"{name} {one['value']:+.2f} ({one['low']:+.2f} to {one['high']:+.2f})"
        for name, one in style["effects"].items()
    )
    yield pairs([("a standard deviation more", ", ".join(said))])


def _raters(document: Mapping[str, Any], stream: TextIO) -> Iterator[RenderableType]:
    raters = document["raters"]
    if len(raters) < 2:
        return
    more = f", the {_RATERS} with most votes" if len(raters) > _RATERS else ""
    yield heading("Raters", f"{len(raters):,}{more}")
    header = ("", "votes", "ties", "for the first", "agree", "seconds")
    rows: list[_Row] = [
        (
            Text(one_line(one["name"]), "bold"),
            f"{one['battles']:,}",
            f"{one['ties'] / one['battles']:.0%}",
            _share(one["share_a"]),
            _share(one["share_agreed"]),
            "–" if one["seconds"] is None else f"{one['seconds']:.0f}",
        )
        for one in raters[:_RATERS]
    ]
    if _fits(header, rows, stream):
        yield grid(header, rows, right=range(1, 6), whole=(0,))
    else:
        yield grid(("", "votes", "agree"), [(row[0], row[1], row[4]) for row in rows], right=(1, 2))


def _facts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    alike, side = document["agreement"], document["side"]
    if alike["share"] is None:
        yield "agreement", "not known: no two raters voted on the same answers"
    else:
        yield (
            "agreement",
            f"{alike['share']:.0%} of {count(alike['compared'], 'comparison')}; Krippendorff's α {alike['alpha']:.2f}",
        )
    if side["share"] is not None:
        worth = side["points"]
        said = (
            ""
            if worth is None
            else f"; worth {worth['value']:+.0f} points ({worth['low']:+.0f} to {worth['high']:+.0f})"
        )
        yield "first answer", f"won {side['share']:.0%} of {side['decided']:,} decided votes{said}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _fits(header: Sequence[str], rows: Sequence[_Row], stream: TextIO) -> bool:
    if not is_bounded(stream):
        return True
    plain = [[one if isinstance(one, str) else one.plain for one in row] for row in (header, *rows)]
    wide = sum(max(cell_len(one) for one in column) + _GAP for column in zip(*plain, strict=True))
    return wide + _INDENT <= columns(stream)
