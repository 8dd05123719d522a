"""Files that bear our mark: a job that somebody edited, or wrote himself, is never overwritten by accident."""

from __future__ import annotations

import hashlib
from pathlib import Path

from align_cli.errors import UsageError
from align_cli.files import write_text

_MARK = "# Written by align launch; "


def stamped(text: str) -> str:
    """`text` with the mark as its first comment: after the shebang, where there is one."""
    first, line_end, rest = text.partition("\n") if text.startswith("#!") else ("", "", text)
    return f"{first}{line_end}{_MARK}as it was, its digest is {_digest(first + rest)}\n{rest}"


def is_ours(text: str) -> bool:
    """Whether a file is exactly as it was written here."""
    lines = text.splitlines(keepends=True)
    at = 1 if lines and lines[0].startswith("#!") else 0
    if len(lines) <= at or not lines[at].startswith(_MARK):
        return False
    body = (lines[0].rstrip("\n") if at else "") + "".join(lines[at + 1 :])
    return lines[at].rstrip("\n").endswith(_digest(body))


def write(path: Path, text: str, *, force: bool = False) -> None:
    """Write a stamped text.

    Raises:
        UsageError: something else is there, or it cannot be written.
    """
    try:
        if not force and path.exists() and not is_ours(path.read_text(encoding="utf-8", errors="replace")):
            hint = "--force replaces it, -o FILE writes another one"
            raise UsageError(f"{path} was not written by align launch, or was edited since", hint=hint)
        write_text(path, text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
