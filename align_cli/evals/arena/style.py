"""What an answer looks like, in numbers: its length and its Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_FENCED = re.compile(r"^(`{3,}|~{3,}).*?(?:^\1[`~]*\s*$|\Z)", re.MULTILINE | re.DOTALL)
_HEADER = re.compile(r"^#{1,6}\s", re.MULTILINE)
_LIST = re.compile(r"^[^\S\n]*(?:\d+\.|[-*+])\s", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")


class Style(NamedTuple):
    """Of all of a model's turns in a battle together."""

    tokens: float
    """Length. Of texts that are counted here: words and signs, about a language model's tokens."""
    headers: float
    lists: float
    """Items, numbered or not."""
    bold: float


#: What the four are called in a report.
FEATURES = ("length", "headers", "lists", "bold")

_WORD = re.compile(r"\w+|[^\w\s]")


def style_of(texts: Iterable[str]) -> Style:
    """The style of a model's turns. Markdown inside code is code: it counts as length only.

    What counts as a header, an item or bold is as in FastChat's `add_markdown_info.py`; but lengths are in words and
    signs, where Chatbot Arena has one tokenizer's tokens, and blocks of code may hold backquotes and be left open.
    """
    made = Style(0.0, 0.0, 0.0, 0.0)
    for text in texts:
        made = Style(*(left + right for left, right in zip(made, _of_text(text), strict=True)))
    return made


@lru_cache(maxsize=4096)  # raters see the same answers
def _of_text(text: str) -> Style:
    prose = _FENCED.sub("", text)
    counts = [float(len(sign.findall(prose))) for sign in (_HEADER, _LIST, _BOLD)]
    return Style(float(len(_WORD.findall(text))), *counts)
