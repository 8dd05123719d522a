"""`align model push`: what was sent, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from rich.text import Text

from align_cli.cli.render.page import count, emit, pairs
from align_cli.cli.signs import one_line
from align_cli.cli.size import bytes_as_text

_MOST_NAMED = 12


def published(view: Mapping[str, Any], stream: TextIO) -> None:
    """The page for the document that `--json` prints."""
    who = {True: "private: only you and your organisation", False: "public: everybody", None: "not told by the Hub"}
    rows: list[tuple[str, str | Text]] = [
        ("address", Text(one_line(view["address"]), style="bold")),
        ("version", one_line(f"{view['revision']}, commit {view['commit'][:12]}")),
        ("readers", who[view["is_private"]]),
    ]
    if view["sent"]:
        rows.append(("sent", f"{bytes_as_text(view['bytes_sent'])} in {_named(view['sent'])}"))
    else:
        rows.append(("sent", "nothing: everything was there already"))
    if view["sent"] and view["unchanged"]:
        rows.append(("was there", _named(view["unchanged"])))
    if view["stays"]:
        rows.append(("stays here", _listed(view["stays"])))
    emit(stream, pairs(rows))


def _named(names: list[str]) -> str:
    return f"{count(len(names), 'file')}: {_listed(names)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(one_line(name) for name in names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{shown}{more}"
