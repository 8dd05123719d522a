"""JSON by Python's parser, which says what is wrong and notices keys that are named twice."""

from __future__ import annotations

import json
from typing import Any

#: What Python's parser says of values that are beyond its limits.
TOO_DEEP = "nested too deeply"
TOO_LONG = "a number is too long to be read"


class Twice(dict[str, Any]):
    """A JSON object that names a key twice; the later value counts. `keys_twice` are those keys."""

    keys_twice: tuple[str, ...] = ()


class Decoder:
    """Python's JSON parser, which also notices keys that are named twice."""

    def __init__(self) -> None:
        self._twice = False
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)
        self.raw_decode = self._decoder.raw_decode

    def decode(self, line: bytes) -> Any:
        """The line's value.

        Raises:
            UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValueError: it has none.
        """
        plainly = line[:1] == b"{" and line[1:2] != b"\0"
        encoding = "utf-8" if plainly else json.detect_encoding(line)
        return self._decoder.decode(line.decode(encoding, "surrogatepass"))

    def twice(self) -> bool:
        """Whether some object named a key twice since the last call."""
        said, self._twice = self._twice, False
        return said

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        self._twice = True
        keys = [key for key, _ in pairs]
        twice = Twice(made)
        twice.keys_twice = tuple(key for key in made if keys.count(key) > 1)
        return twice


def value(decoder: Decoder, line: bytes) -> tuple[Any, str]:
    """(the line's value, "") or (None, why it has none)."""
    try:
        return decoder.decode(line), ""
    except UnicodeDecodeError as error:
        return None, f"not UTF-8 text (byte 0x{line[error.start]:02x} at column {error.start + 1})"
    except json.JSONDecodeError as error:
        return None, f"not JSON: {plain(error.msg)} at column {error.pos + 1}"
    except RecursionError:
        return None, TOO_DEEP
    except ValueError:  # Python stops at 4300 digits
        return None, TOO_LONG


def plain(message: str) -> str:
    """A parser's message as part of a sentence, to which the place is added."""
    return (message[:1].lower() + message[1:]).removesuffix(" at").removesuffix(" starting")
