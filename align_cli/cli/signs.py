r"""Text out of data files, made safe to print, and the signs that a stream can show.

Data may hold escape sequences that move the cursor, recolour or retitle a terminal, and marks that turn the direction
of what follows. They are shown as `\x1b`, `\u202e`: as what they are, and without effect.
"""

from __future__ import annotations

import re
import sys
from typing import TextIO

#: Control characters but tab and line feed; half surrogates; marks of direction; signs that take no room.
_ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """`text` with every character that acts instead of showing replaced by its escape; line breaks and tabs stay."""
    return _ACTIVE.sub(_escape, text)


def one_line(text: str, longest: int | None = None) -> str:
    """`text` made safe and put on one line, its end cut where it is longer than `longest` characters."""
    joined = visible(text).replace("\n", "\\n").replace("\t", "\\t")
    if longest is None or len(joined) <= longest:
        return joined
    return joined[: max(longest - 1, 1)] + "…"


def shows_unicode(stream: TextIO) -> bool:
    """Whether block and bracket signs reach the reader: the stream's encoding, and that of the real stdout, know them.

    A stream that keeps stdout for results is UTF-8 whatever the terminal is, so both are asked.
    """
    for asked in (stream, sys.__stdout__):
        encoding = getattr(asked, "encoding", None) or "utf-8"
        try:
            "⟦█…⟧".encode(encoding)
        except (UnicodeEncodeError, LookupError):
            return False
    return True


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
