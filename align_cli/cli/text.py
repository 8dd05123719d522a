"""Plain text for terminals and pipes: how wide, how wrapped, how emphasised.

Help and errors are printed with this alone, because loading a table renderer costs more than most commands take.
"""

from __future__ import annotations

import os
import re
import textwrap
from typing import TextIO

_PIPE_WIDTH = 100  # columns of help text where no terminal says otherwise
_WIDEST = 110  # longer lines of prose are hard to read
_STYLES = {"bold": "1", "dim": "2", "red": "31;1", "green": "32", "yellow": "33", "cyan": "36"}


def is_terminal(stream: TextIO) -> bool:
    """A person is looking at this stream directly."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def has_colour(stream: TextIO) -> bool:
    """Escape codes are welcome: a capable terminal, and nobody has set `NO_COLOR`."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and os.environ.get("TERM", "dumb") != "dumb"


def columns(stream: TextIO) -> int:
    """Columns to lay prose out in: `COLUMNS`, else the terminal's, else a fixed width."""
    setting = os.environ.get("COLUMNS", "")
    if setting.isdigit() and int(setting) > 0:
        return int(setting)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _PIPE_WIDTH
    except (OSError, ValueError):
        return _PIPE_WIDTH


def style(text: str, name: str, stream: TextIO) -> str:
    """`text` in bold, dim, red, green, yellow or cyan where the stream can show it."""
    return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if text and has_colour(stream) else text


def wrap(text: str, stream: TextIO, *, indent: str = "", first: str | None = None) -> str:
    """`text` wrapped for a terminal; a pipe gets it as one line, so that it can be searched.

    `first` replaces `indent` on the first line.
    """
    first = indent if first is None else first
    if not is_terminal(stream) and not os.environ.get("COLUMNS"):
        return first + text
    width = max(min(columns(stream), _WIDEST + len(indent)), len(indent) + 20)
    return fill(text, width, indent=indent, first=first)


def fill(text: str, width: int, *, indent: str = "", first: str | None = None) -> str:
    """`text` in lines of at most `width` columns; words (paths, values) are never broken."""
    first = indent if first is None else first
    return textwrap.fill(
        " ".join(text.split()),
        width=width,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def prose(help_text: str) -> str:
    """Documentation as upstream writes it (Markdown, Sphinx roles, line breaks) as one plain paragraph."""
    text = re.sub(r"\[([^\]]+)\]\((?:[^)\s]+)\)", r"\1", help_text)
    text = re.sub(r":[a-z]+:`~?([^`]+)`", r"\1", text)
    text = re.sub(r"\[`~?([^`]+)`\]", r"\1", text)
    return " ".join(text.replace("`", "").split())
