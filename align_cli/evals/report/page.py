"""A report as one HTML file: every number, every answer, every judgment; nothing is loaded from anywhere.

The summary is plain HTML. The answers lie in the file as data and are shown by its script, which makes elements out of
text and never parses HTML: an answer that holds a script tag shows a script tag. The file's own policy forbids every
script and style but its own, every picture, and every connection.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

from align_cli.evals.report import radar
from align_cli.evals.report.drawing import SERIES_COLOURS, plain, svg
from align_cli.evals.report.embedded import data_of, inert
from align_cli.evals.report.report import Report
from align_cli.evals.report.table import Cell, Table
from align_cli.evals.report.tables import (
    counts_table,
    differences_table,
    metrics_table,
    pairs_table,
    scores_table,
    turns_table,
)

SCRIPTS = ("markdown.js", "view.js", "found.js", "elements.js", "reading.js", "main.js")
_HEATS = 5  # shades of a score


def page(report: Report) -> str:
    """The page's text; the same for the same report."""
    style, script = style_sheet(), _script()
    values = {
        "policy": _policy(style, script),
        "title": escape(plain(_title(report))),
        "style": style,
        "heading": escape(plain(_title(report))),
        "subheading": escape(plain(_subtitle(report))),
        "notes": _notes(report),
        "radar": _radar(report),
        "metrics": table_html(metrics_table(report)),
        "scores": table_html(scores_table(report)),
        "drawings": _drawings(report),
        "tables": "\n".join(table_html(one) for one in _other_tables(report)),
        "data": inert(data_of(report)),
        "script": script,
    }
    # In one pass: what is filled in may itself look like a place.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _file("page.html"))


@cache
def _file(name: str) -> str:
    return (files("align_cli.evals.report") / "page_files" / name).read_text(encoding="utf-8")


@cache
def style_sheet() -> str:
    """What pages of reports look like."""
    colours = "".join(
        f".c{number} {{ background: {colour}; }} .s{number} {{ box-shadow: inset 4px 0 {colour}; }} "
        f".list .cells .e{number} {{ border-bottom-color: {colour}; }}\n"
        for number, colour in enumerate(SERIES_COLOURS)
    )
    return _file("page.css") + colours


@cache
def _script() -> str:
    return '(() => {\n"use strict";\n' + "\n".join(_file(name) for name in SCRIPTS) + "})();\n"


def _policy(style: str, script: str) -> str:
    """Only this very script and this very style; nothing may turn text into HTML."""
    return (
        f"default-src 'none'; script-src '{digest_source(script)}'; style-src '{digest_source(style)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def digest_source(text: str) -> str:
    """A script or style, as a page's policy names the one that it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _title(report: Report) -> str:
    names = [one.name for one in report.models]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{report.benchmark}: {shown}" if names else report.benchmark


def _subtitle(report: Report) -> str:
    judge = f"judged by {report.judge.name}" if report.judge else "not judged yet"
    questions = f"{report.num_questions:,} question{'' if report.num_questions == 1 else 's'}"
    intervals = "± half of a 95 % interval, from a bootstrap over questions"
    return f"{questions}, {judge}; {intervals}" if report.judge else f"{questions}, {judge}"


def _notes(report: Report) -> str:
    if not report.notes:
        return ""
    items = "".join(f"<li>{escape(plain(note))}</li>" for note in report.notes)
    return f'<ul class="notes" aria-label="To know before trusting the numbers">{items}</ul>'


def _radar(report: Report) -> str:
    web = radar.radar_of(report)
    return f"<figure>{svg(radar.drawn(web), is_alone=False)}</figure>" if web is not None else ""


def _drawings(report: Report) -> str:
    figures = "\n".join(f"<figure>{svg(one, is_alone=False)}</figure>" for one in report.addition.drawings)
    return f'<div class="drawings">\n{figures}\n</div>' if figures else ""


def _other_tables(report: Report) -> Sequence[Table | None]:
    return (
        differences_table(report),
        pairs_table(report),
        turns_table(report),
        *report.addition.tables,
        counts_table(report),
    )


def table_html(table: Table | None) -> str:
    """A table of numbers as HTML; nothing for None."""
    if table is None:
        return ""
    head = "".join(f'<th scope="col">{escape(plain(column))}</th>' for column in table.columns)
    body = []
    for number, (name, cells) in enumerate(table.rows):
        mark = f' class="s{number % len(SERIES_COLOURS)}"' if table.has_series else ""
        values = "".join(_cell(cell) for cell in cells)
        body.append(f'<tr><th scope="row"{mark}>{escape(plain(name))}</th>{values}</tr>')
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(plain(table.title))}">'
        f'<table class="numbers"><caption>{escape(plain(table.title))}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    shade = "" if cell.share is None else f' class="h{min(max(math.ceil(cell.share * _HEATS), 1), _HEATS)}"'
    title = f' title="{escape(cell.title)}"' if cell.title else ""
    aside = f"<small>{escape(cell.aside)}</small>" if cell.aside else ""
    return f"<td{shade}{title}>{escape(cell.text)}{aside}</td>"
