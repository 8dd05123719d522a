"""The report's numbers as tables for the page."""

from __future__ import annotations

from collections.abc import Sequence

from align_cli.evals.arena.ratings import Rating
from align_cli.evals.arena.report import Report
from align_cli.evals.report.table import Cell, Table

_CLOSEST = 60  # pairs that are shown
_RATERS = 100


def ratings_table(report: Report) -> Table:
    """A line a model."""
    return Table(
        title="Ratings",
        columns=("rank", "rating", "battles", "won", "lost", "tied", "both bad", "share"),
        rows=[(one.model, _line(one)) for one in report.ratings.models],
        has_series=True,
    )


def matrix_table(report: Report) -> Table:
    """What the model on the left won of its battles with the one above."""
    models = report.ratings.models
    shares: dict[tuple[str, str], Cell] = {}
    for pair in report.pairs:
        if pair.share is not None:
            for one, other, share in ((pair.better, pair.other, pair.share), (pair.other, pair.better, 1 - pair.share)):
                title = f"{one} against {other}: {share:.1%} of {pair.battles:,}"
                shares[one, other] = Cell(text=f"{share:.0%}", aside=f"{pair.battles:,}", title=title, share=share)
    nothing = Cell(text="")
    return Table(
        title="Share won against each other, a tie counting half",
        columns=[one.model for one in models],
        rows=[(one.model, [shares.get((one.model, other.model), nothing) for other in models]) for one in models],
        has_series=True,
    )


def close_table(report: Report) -> Table | None:
    """Pairs that the battles do not tell apart, those that need the fewest further votes first."""
    close = [pair for pair in report.pairs if not pair.is_separated]
    if not close:
        return None
    close.sort(key=lambda pair: (pair.further_votes is None, pair.further_votes or 0))
    some = f", the {_CLOSEST} nearest to it" if len(close) > _CLOSEST else ""
    return Table(
        title=f"Not told apart yet: {len(close):,} of {len(report.pairs):,} pairs{some}",
        columns=("difference", "their battles", "share expected", "further votes"),
        rows=[
            (
                f"{pair.better} – {pair.other}",
                (
                    Cell(text=f"{pair.difference:.0f}", aside=f"{pair.low:.1f} to {pair.high:.1f}"),
                    Cell(text=f"{pair.battles:,}"),
                    Cell(text=f"{pair.expected:.0%}"),
                    Cell(text=votes_said(pair.further_votes)),
                ),
            )
            for pair in close[:_CLOSEST]
        ],
    )


def style_table(report: Report) -> Table | None:
    """Ratings with style controlled, beside the others."""
    if report.style is None or not report.style.effects:
        return None
    plain = {one.model: one for one in report.ratings.models}
    return Table(
        title="With length and Markdown controlled",
        columns=("rank", "rating", "change"),
        rows=[
            (one.model, (*_line(one)[:2], Cell(text=f"{one.rating - plain[one.model].rating:+.0f}")))
            for one in report.style.ratings.models
        ],
    )


def effects_table(report: Report) -> Table | None:
    """What style is worth."""
    if report.style is None or not report.style.effects:
        return None
    return Table(
        title="What an answer gains by one standard deviation more of it",
        columns=("logits",),
        rows=[
            (name, (Cell(text=f"{value:+.3f}", aside=f"{low:+.3f} to {high:+.3f}"),))
            for name, (value, low, high) in report.style.effects.items()
        ],
    )


def raters_table(report: Report) -> Table | None:
    """A line a rater."""
    if not report.raters:
        return None
    some = f", the {_RATERS} with most votes" if len(report.raters) > _RATERS else ""
    return Table(
        title=f"Raters{some}",
        columns=("votes", "ties", "for the first", "agree with others", "seconds"),
        rows=[
            (
                one.name,
                (
                    Cell(text=f"{one.battles:,}"),
                    Cell(text=f"{one.ties / one.battles:.0%}", aside=f"{one.both_bad:,} both bad"),
                    Cell(text=_share(one.share_a)),
                    Cell(text=_share(one.share_agreed), aside=f"of {one.compared:,}" if one.compared else ""),
                    Cell(text="–" if one.seconds is None else f"{one.seconds:.0f}"),
                ),
            )
            for one in report.raters[:_RATERS]
        ],
    )


def votes_said(votes: int | None) -> str:
    """Two digits of a guess are enough."""
    if votes is None:
        return "as good as equal"
    return f"{votes:,}" if votes < 100 else f"{float(f'{votes:.2g}'):,.0f}"


def _line(one: Rating) -> Sequence[Cell]:
    return (
        Cell(text=f"{one.rank}"),
        Cell(text=f"{one.rating:.0f}", aside=f"{one.low:.0f} to {one.high:.0f}", title=f"{one.rating:.2f}"),
        Cell(text=f"{one.battles:,}"),
        Cell(text=f"{one.wins:,}"),
        Cell(text=f"{one.losses:,}"),
        Cell(text=f"{one.ties - one.both_bad:,}"),
        Cell(text=f"{one.both_bad:,}"),
        Cell(text=f"{one.share:.0%}", share=one.share),
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
