"""The arena's report as one HTML file; nothing is loaded from anywhere, and there is no script in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from importlib.resources import files

from align_cli.evals.arena import chart, tables
from align_cli.evals.arena.report import Report
from align_cli.evals.report.drawing import plain, svg
from align_cli.evals.report.page import digest_source, style_sheet, table_html

_MORE_STYLE = """.overview > .chart { flex: 2 1 40rem; max-width: 60rem; overflow-x: auto; }
.chart > .drawing { min-width: 38rem; }
.facts { padding-left: 1.2rem; }
.numbers thead th { max-width: 9rem; overflow-wrap: break-word; }
.numbers caption { white-space: normal; }
@media (max-width: 46rem) { .numbers tbody th { min-width: 8rem; max-width: 10rem; } }
"""


def page(report: Report) -> str:
    """The page's text; the same for the same report."""
    style = style_sheet() + _MORE_STYLE
    values = {
        "policy": f"default-src 'none'; style-src '{digest_source(style)}'; base-uri 'none'; form-action 'none'",
        "title": escape(plain(title_of(report))),
        "subtitle": escape(plain(subtitle_of(report))),
        "style": style,
        "notes": _notes(report),
        "chart": svg(chart.drawn(report.ratings.models), is_alone=False),
        "ratings": table_html(tables.ratings_table(report)),
        "against": "\n".join(map(table_html, (tables.matrix_table(report), tables.close_table(report)))),
        "facts": "".join(f"<li>{escape(plain(fact))}</li>" for fact in facts(report)),
        "tables": "\n".join(
            map(
                table_html,
                (tables.style_table(report), tables.effects_table(report), tables.raters_table(report)),
            )
        ),
    }
    text = (files("align_cli.evals.arena") / "page_files" / "page.html").read_text(encoding="utf-8")
    # In one pass: what is filled in may itself look like a place.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)


def title_of(report: Report) -> str:
    """Which models."""
    names = [one.model for one in report.ratings.models]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"Arena: {shown}"


def subtitle_of(report: Report) -> str:
    """Of how many votes, and what the numbers are."""
    method = report.method
    sandwich = "sandwich, by rater" if method.cluster_by_rater else "sandwich"
    how = sandwich if method.interval == "sandwich" else f"bootstrap of {method.rounds:,} rounds"
    scale = "mean 1000" if method.anchor is None else f"{method.anchor.model} at {method.anchor.rating:g}"
    raters = f" of {_counted(len(report.raters), 'rater')}" if report.raters else ""
    return (
        f"{_counted(len(report.battles), 'vote')}{raters}; Bradley–Terry ratings, {scale}, 400 points are ten to one; "
        f"95 % intervals ({how})"
    )


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def facts(report: Report) -> Iterator[str]:
    """Agreement and sides, in words."""
    alike = report.agreement
    if alike.share is not None and alike.alpha is not None:
        yield (
            f"Raters agree in {alike.share:.0%} of {alike.compared:,} comparisons on {alike.num_units:,} pairs of "
            f"answers that several of them saw; Krippendorff's α is {alike.alpha:.2f} (1: always, 0: as by chance)."
        )
    else:
        yield "No two raters voted on the same answers: nothing is known about how far they agree."
    side = report.side
    if side.share is not None and side.low is not None and side.high is not None:
        worth = ""
        if side.points is not None:
            value, low, high = side.points
            worth = f", worth {value:+.0f} points ({low:+.0f} to {high:+.0f}) when the models are allowed for"
        yield (
            f"The answer that stood first won {side.share:.1%} of {side.decided:,} decided battles "
            f"({side.low:.1%} to {side.high:.1%}){worth}."
        )
    ties = sum(battle.is_tie for battle in report.battles)
    both = sum(battle.winner == "both_bad" for battle in report.battles)
    yield f"{ties / len(report.battles):.0%} of the votes are ties, {both:,} of them because both were bad."


def _notes(report: Report) -> str:
    notes = report.notes
    if not notes:
        return ""
    items = "".join(f"<li>{escape(plain(note))}</li>" for note in notes)
    return f'<ul class="notes" aria-label="To know before trusting the numbers">{items}</ul>'
