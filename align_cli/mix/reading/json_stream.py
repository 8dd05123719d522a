"""The elements of a JSON list, one at a time with their lines, without the whole list in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from align_cli.mix.reading.json_values import TOO_DEEP, TOO_LONG, Decoder, plain

_CHUNK = 1 << 20  # characters read at a time
_SPACE = re.compile(r"[ \t\n\r]*")
WRAPPED = re.compile(r'\{\s*"(data|rows|examples|instances|train)"\s*:\s*\[')


class ManyDocuments(Exception):
    """The text is several JSON documents, one a line."""


class NotRowsError(Exception):
    """The text is JSON that holds no list of rows."""


class BrokenError(Exception):
    """The text is not JSON from `line` on."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def elements(stream: IO[str], decoder: Decoder) -> Iterator[tuple[int, Any]]:
    """(line, element) of a top-level list, of the list in `{"data": [...]}`, or of an object of id -> row.

    Raises:
        ManyDocuments, NotRowsError, BrokenError: see there.
    """
    window = _Window(stream, decoder)
    start = window.peek()
    if start == "":
        return
    if start == "[":
        window.skip(1)
    elif match := WRAPPED.match(window.text, window.at):
        window.skip(match.end() - window.at)
    elif start == "{":
        yield from _object(window)
        return
    else:
        line = window.line()
        window.value()  # says what is wrong when it is no JSON
        raise NotRowsError(f"the file holds one value and no rows (line {line})")
    if window.peek() == "]":
        return
    while True:
        yield window.line(), window.value()
        mark = window.peek()
        if mark == "]":
            return
        if mark != ",":
            message = "a comma or ] is missing after the row before" if mark else "the file ends inside the list"
            raise BrokenError(message, window.line())
        window.skip(1)
        if window.peek() == "]":
            raise BrokenError("a comma before ]", window.line())


def _object(window: _Window) -> Iterator[tuple[int, Any]]:
    start_line, value, end_line = window.line(), window.value(), window.line_here()
    if window.peek() == "{":
        raise ManyDocuments
    if window.peek():
        raise BrokenError("text after the end of the document", window.line())
    if value and all(isinstance(row, dict) for row in value.values()):
        for row in value.values():
            yield 1, row
        return
    if value and start_line == end_line:
        raise ManyDocuments  # one row on one line
    raise NotRowsError(f"the file holds one object ({', '.join(list(value)[:4])}, …) and no list of rows")


class _Window:
    """A piece of the text that grows at its end and forgets its beginning."""

    def __init__(self, stream: IO[str], decoder: Decoder) -> None:
        self.text = ""
        self.at = 0
        self._stream = stream
        self._ended = False
        self._lines = 1  # number of the line that `_counted` is in
        self._counted = 0
        self._decode = decoder.raw_decode

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text) or not self._more(_CHUNK):
                return self.text[self.at : self.at + 1]

    def skip(self, count: int) -> None:
        self.at += count

    def line(self) -> int:
        """Line number of the next character that is no space."""
        self.peek()
        return self.line_here()

    def line_here(self) -> int:
        """Line number of the current position."""
        self._lines += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._lines

    def value(self) -> Any:
        """The JSON value that starts here."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                value, end = self._decode(self.text, self.at)
            except json.JSONDecodeError as error:
                # Only an error that more text can mend is worth reading on for.
                near_end = len(self.text) - error.pos <= 64 or error.msg.startswith("Unterminated")
                if not (near_end and self._more(size)):
                    line = self.line() + self.text.count("\n", self.at, error.pos)
                    raise BrokenError(plain(error.msg), line) from None
            except RecursionError:
                raise BrokenError(TOO_DEEP, self.line()) from None
            except ValueError:
                raise BrokenError(TOO_LONG, self.line()) from None
            else:
                if end < len(self.text) or not self._more(size):
                    self.at = end
                    return value
            size *= 2  # a row longer than the window: read twice as much, so that long rows stay linear

    def _more(self, size: int) -> bool:
        if self._ended:
            return False
        piece = self._stream.read(size)
        if not piece:
            self._ended = True
            return False
        if self._counted < self.at:  # count the lines that are about to be forgotten
            self._lines += self.text.count("\n", self._counted, self.at)
        self.text = self.text[self.at :] + piece
        self.at = self._counted = 0
        return True
