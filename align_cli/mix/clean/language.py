"""The language that a text is written in, by the optional package `py3langid`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Any

from align_cli.errors import DataError, Problem
from align_cli.packages import root_of

#: Texts with fewer letters are kept whatever they seem to be: nobody can tell.
FEWEST_LETTERS = 20
#: Characters of a row that are looked at: more cost time and change nothing.
MOST_CHARACTERS = 400
_NONE = ("zxx", "und")  # what the identifier answers when it reads no language


def demand(languages: Sequence[str]) -> None:
    """Make sure that languages can be told, and that these are languages.

    Raises:
        DataError: the package is missing, or does not know a code; near ones are named.
    """
    _demand_package()
    known = sorted(_identifier().labels)
    problems = []
    for code in languages:
        if code not in known:
            plain = code.lower()
            near = [plain[:2]] if plain[:2] in known else difflib.get_close_matches(plain, known, n=3, cutoff=0.5)
            hint = f"a code of ISO 639-1, {'perhaps' if near else 'such as'} {', '.join(near or ('en', 'de', 'zh'))}"
            problems.append(Problem(f'"{code}" is no language that can be told', "clean.languages", hint))
    if problems:
        raise DataError("the recipe's cleaning cannot be done", problems=problems)


def identity() -> str:
    """What decides the answers, for the mixture's address.

    Raises:
        DataError: the package is missing.
    """
    _demand_package()
    return f"py3langid {version('py3langid')}"


def told(text: str) -> str:
    """The text's most likely language as an ISO 639 code; empty when it has too few letters to tell, or no words."""
    text = text[:MOST_CHARACTERS]
    if sum(map(str.isalpha, text)) < FEWEST_LETTERS:
        return ""
    found = str(_identifier().classify(text)[0])
    return "" if found in _NONE else found


@cache
def _identifier() -> Any:
    # An instance of our own: the module's may be limited to some languages by others in this process.
    langid = import_module("py3langid.langid")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)


def _demand_package() -> None:
    if root_of("py3langid") is None:
        raise DataError(
            "clean.languages needs the package py3langid, which is not installed",
            hint="pip install 'align-cli[language]'",
        )
