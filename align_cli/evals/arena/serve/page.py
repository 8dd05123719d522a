"""The page's files, as they are sent: nothing in them depends on the models."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

#: From the report's page: Markdown as a tree of harmless elements, and text made into elements without HTML.
_SHARED = ("markdown.js", "elements.js")
_SCRIPTS = {
    "arena.js": (*_SHARED, "calls.js", "battle.js", "live.js", "arena.js"),
    "report.js": ("elements.js", "calls.js", "report.js"),
}
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
NAMES = ("arena.html", "report.html", "arena.css", "icon.svg", *_SCRIPTS)


@cache
def content(name: str) -> bytes:
    """A file of the page."""
    if name not in _SCRIPTS:
        return _file(name).encode()
    inside = "\n".join(_file(one) for one in _SCRIPTS[name])
    return f'(() => {{\n"use strict";\n{inside}}})();\n'.encode()


def kind(name: str) -> str:
    """Its media type."""
    return KINDS[name.rpartition(".")[2]]


def _file(name: str) -> str:
    room = "align_cli.evals.report" if name in _SHARED else "align_cli.evals.arena.serve"
    return (files(room) / "page_files" / name).read_text(encoding="utf-8")
