"""Errors as a person or a program reads them: plain text or one JSON object on stderr, never a traceback.

Whatever goes out is searched for the values of variables that hold secrets: a library's message may quote a URL
with a token in it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TextIO

from align_cli.cli.signs import visible
from align_cli.cli.text import style, wrap
from align_cli.errors import AlignError, Interrupted, PluginError, Problem
from align_cli.recipe.secrets import is_secret, scrub

_SHORTEST_SECRET = 8  # characters; a shorter value would blank out innocent text
_MOST_SHOWN = 40  # problems printed; the rest is counted


def report(error: AlignError, *, as_json: bool, stream: TextIO | None = None) -> int:
    """Write `error` and give the exit code."""
    stream = stream or sys.stderr
    if isinstance(error, PluginError) and error.__cause__ is not None and (path := _write_crash(error)):
        error.hint = "; ".join(filter(None, (error.hint, f"the traceback is in {path}")))
    if as_json:
        stream.write(without_secrets(json.dumps(error.as_dict(), ensure_ascii=False)) + "\n")
    else:
        stream.write(without_secrets(as_text(error, stream)))
    stream.flush()
    return error.exit_code


def as_text(error: AlignError, stream: TextIO) -> str:
    """The message, every problem with its place and hint, and what to do next."""
    stopped = isinstance(error, Interrupted)
    label, colour = ("interrupted", "yellow") if stopped else ("error", "red")
    lines = [wrap(visible(error.message), stream, indent="  ", first=f"{label}: ")]
    lines += [line for problem in error.problems[:_MOST_SHOWN] for line in problem_lines(problem, stream)]
    if len(error.problems) > _MOST_SHOWN:
        lines.append(f"  … and {len(error.problems) - _MOST_SHOWN} more")
    if error.hint:
        lines.append(wrap(visible(error.hint), stream, indent="      ", first="hint: "))
    text = "\n".join(lines) + "\n"
    return style(f"{label}:", colour, stream) + text.removeprefix(f"{label}:")


def crash(error: BaseException, *, as_json: bool) -> int:
    """A mistake of ours: one line, and the full story in a file that can be sent to us."""
    path = _write_crash(error)
    cause = f"{type(error).__name__}: {_first_line(error)}"
    kept = f"; the traceback is in {path}" if path else ""
    ours = AlignError(f"unexpected: {cause}{kept}", hint="this is a bug in align or in a library below it")
    if not path:
        traceback.print_exception(error, file=sys.stderr)
    return report(ours, as_json=as_json)


def without_secrets(text: str) -> str:
    """`text` without the values of environment variables that hold secrets and without anything like a token."""
    values = [value for name, value in os.environ.items() if len(value) >= _SHORTEST_SECRET and is_secret(name)]
    return scrub(text, tuple(values))


def problem_lines(problem: Problem, stream: TextIO, *, indent: str = "  ") -> list[str]:
    """`place: message`, and the hint on lines of its own."""
    body = wrap(visible(problem.placed), stream, indent=f"{indent}    ", first=indent)
    if problem.where and body.startswith(f"{indent}{problem.where}:"):
        place = f"{problem.where}:"
        body = indent + style(place, "bold", stream) + body[len(indent) + len(place) :]
    hint = [style(wrap(visible(problem.hint), stream, indent=f"{indent}    "), "dim", stream)] if problem.hint else []
    return [without_secrets(line) for line in (body, *hint)]


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "(no message)"


def _write_crash(error: BaseException) -> Path | None:
    """The traceback, the command line and the versions, in a file; None if not even that can be written."""
    from align_cli import __version__
    from align_cli.files import cache_root, write_text

    path = cache_root() / "crashes" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    header = f"align {__version__}, Python {sys.version.split()[0]}, {sys.platform}\n"
    story = "".join(traceback.format_exception(error))
    try:
        write_text(path, without_secrets(f"{header}argv: {sys.argv[1:]}\n\n{story}"))
    except OSError:
        return None
    return path
