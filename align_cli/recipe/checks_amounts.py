"""Rules about how much of each source is taken, how it is mixed and how it is cleaned: all known from the text.

How the words go together: one of `fraction`, `rows` and `tokens` limits what is taken of a source. `repeat` goes with
any of them. `share`, given for every source or for none, is a source's part of the mixture; beside it a limit says how
much there is at most. The mixture's own `rows` or `tokens` is the total that shares, a `temperature` or else the sizes
deal out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence

from align_cli.recipe.provenance import Key
from align_cli.recipe.schema import Clean, Mixture, Source
from align_cli.recipe.understood import instead_of_fraction

Complaint = tuple[Key, str, str]
"""Key, what is wrong, hint."""
Placed = Sequence[tuple[Source, Key]]

_MIXTURE: Key = ("mixture",)
_CLEAN: Key = ("mixture", "clean")
_SUM_TOLERANCE = 1e-6
_LIMITS = ("fraction", "rows", "tokens")
_NATIVE_OF_SOURCE = ("share", "tokens", "repeat", "held_out")
_NATIVE_OF_MIXTURE = ("rows", "tokens", "temperature", "oversample", "order")


def check(mixture: Mixture, train: Placed, evaluate: Placed, unread: Collection[str]) -> Iterator[Complaint]:
    """Everything wrong with the amounts; `unread` are words whose value is already known to be wrong."""
    by_size = "combine" in unread or mixture.combine != "trl"
    for source, key in (*train, *evaluate):
        yield from _source(source, key, own_rows=by_size)
    for source, key in train:
        yield from _held_out(source.held_out, (*key, "held_out"), least=0)
    for source, key in evaluate:
        for word in ("share", "repeat", "held_out"):
            if getattr(source, word) is not None:
                yield (*key, word), f"{word} is for sources to train on, and this one is evaluated on", f"remove {word}"
    if mixture.held_out is not None:
        yield from _held_out(mixture.held_out, (*_MIXTURE, "held_out"), least=1)
    if "share" not in unread:
        yield from _shares(mixture, train)
    yield from _mixture(mixture, train, unread)
    if mixture.combine != "native" and "combine" not in unread:
        yield from _only_native(mixture, train)
    yield from _clean(mixture.clean)


def _source(source: Source, key: Key, *, own_rows: bool) -> Iterator[Complaint]:
    fraction = source.fraction
    if fraction is not None and not 0 <= fraction <= (1 if own_rows else math.inf):
        wanted = "a share of the source's own rows, from 0 to 1" if own_rows else "at least 0"
        hint = instead_of_fraction(fraction) if own_rows else ""
        yield (*key, "fraction"), f"fraction is {fraction:g}: {wanted}", hint
    for word in ("rows", "tokens"):
        value = getattr(source, word)
        if value is not None and value < 1:
            yield (*key, word), f"{word} is {value}, at least 1", "fraction: 0 leaves the source out"
    given = [word for word in _LIMITS if getattr(source, word) is not None]
    if len(given) > 1:
        said = f"{' and '.join(given)} {'both' if len(given) == 2 else 'all'} say how much to take"
        yield (*key, given[-1]), said, "keep one of them; share: and repeat: may stand beside it"
    if source.repeat is not None and not source.repeat >= 1:
        hint = f"fraction: {source.repeat:g} takes a part of its rows" if source.repeat >= 0 else "remove it"
        yield (*key, "repeat"), f"repeat is {source.repeat:g}, at least 1", hint
    if source.where is not None and not source.where.strip():
        yield (*key, "where"), "where is empty", 'remove it, or write a condition, e.g. where: "score >= 4"'
    words: dict[str, str] = {}
    for word, column in source.columns.items():
        if column in words:
            said = f'columns: "{column}" is named for {words[column]} and for {word}'
            yield (*key, "columns", word), said, "each word has a column of its own"
        words.setdefault(column, word)
    for name in sorted({name for name in source.keep_columns if source.keep_columns.count(name) > 1}):
        yield (*key, "keep_columns"), f'keep_columns names "{name}" twice', "name it once"


def _held_out(value: float | int | None, key: Key, *, least: int) -> Iterator[Complaint]:
    if value is None:
        return
    if value < 0 or (value == 0 and least):
        yield key, f"held_out is {value:g}, more than 0", "remove it to hold out nothing"
    elif value >= 1 and float(value) != int(value):
        yield key, f"held_out is {value:g}: below 1 a share, from 1 on a whole number", ""


def _shares(mixture: Mixture, train: Placed) -> Iterator[Complaint]:
    given = [(source.share, source, key) for source, key in train if source.share is not None]
    if not given:
        return
    outside = False
    for share, _, key in given:
        if not 0 <= share <= 1:
            outside = True
            hint = f"share: {share / 100:g} is {share:g} %" if 1 < share <= 100 else "rows: takes a count of rows"
            yield (*key, "share"), f"share is {share:g}: a part of the mixture, from 0 to 1", hint
    total = math.fsum(share for share, _, _ in given)
    missing = [(source, key) for source, key in train if source.share is None]
    if missing:
        names = ", ".join(source.label for source, _ in missing)
        left = f"the other shares leave {_short(max(1 - total, 0) / len(missing))} for it" if not outside else ""
        if len(missing) > 1:
            left = left.replace("for it", "for each of them")
        yield missing[0][1], f"share is given for some sources and not for {names}", left
    elif not outside and abs(total - 1) > _SUM_TOLERANCE:
        hint = ""
        if total > 0:
            hint = f"divided by their sum: {', '.join(_short(share / total) for share, _, _ in given)}"
        yield (*given[0][2], "share"), f"the shares of the sources add up to {_short(total)}, not to 1", hint
    if mixture.temperature is not None:
        said = "temperature and the sources' share both say how large each part is"
        yield (*_MIXTURE, "temperature"), said, "keep one of the two"


def _mixture(mixture: Mixture, train: Placed, unread: Collection[str]) -> Iterator[Complaint]:
    for word in ("rows", "tokens"):
        value = getattr(mixture, word)
        if value is not None and value < 1:
            yield (*_MIXTURE, word), f"{word} is {value}, at least 1", ""
    if mixture.rows is not None and mixture.tokens is not None:
        said = "mixture.rows and mixture.tokens both say how large the mixture is"
        yield (*_MIXTURE, "tokens"), said, "keep one of the two"
    if mixture.temperature is not None and mixture.temperature <= 0:
        said = f"temperature is {mixture.temperature:g}, more than 0"
        yield (*_MIXTURE, "temperature"), said, "1 keeps the sources' own sizes; more evens them out"
    shared = any(source.share is not None for source, _ in train)
    dealing = shared or any(value is not None for value in (mixture.temperature, mixture.rows, mixture.tokens))
    if mixture.oversample and not dealing and not {"share", "temperature", "rows", "tokens"} & set(unread):
        said = "oversample repeats sources that are too small for their part, and nothing says how large their part is"
        yield (*_MIXTURE, "oversample"), said, "share: for each source, temperature: or mixture.rows:; else repeat:"


def _only_native(mixture: Mixture, train: Placed) -> Iterator[Complaint]:
    default, combine = Mixture(), mixture.combine
    given: list[tuple[Key, str]] = [
        ((*_MIXTURE, word), word) for word in _NATIVE_OF_MIXTURE if getattr(mixture, word) != getattr(default, word)
    ]
    given += [((*key, word), word) for source, key in train for word in _NATIVE_OF_SOURCE if getattr(source, word)]
    for key, word in given:
        hint = "combine: native knows it, and chooses other rows"
        yield key, f"combine: {combine} does what its original did, and has no {word}", hint


_LANGUAGE = re.compile(r"[a-z]{2,3}")


def _clean(clean: Clean) -> Iterator[Complaint]:
    if clean.near is not None and not 0 < clean.near <= 1:
        hint = f"near: {clean.near / 100:g} is {clean.near:g} %" if 1 < clean.near <= 100 else "near: 0.85"
        yield (*_CLEAN, "near"), f"near is {clean.near:g}: a similarity, more than 0 and at most 1", hint
    if clean.ngram < 1:
        yield (*_CLEAN, "ngram"), f"ngram is {clean.ngram}: words in a row, at least 1", "ngram: 13"
    for what in ("turns", "characters"):
        low, high = getattr(clean, f"min_{what}"), getattr(clean, f"max_{what}")
        for word, value in ((f"min_{what}", low), (f"max_{what}", high)):
            if value is not None and value < 1:
                yield (*_CLEAN, word), f"{word} is {value}, at least 1", "remove it for no bound"
        if low is not None and high is not None and low > high:
            said = f"min_{what} is {low:,} and max_{what} is {high:,}: no row is left"
            yield (*_CLEAN, f"max_{what}"), said, "exchange the two"
    for index, name in enumerate(clean.languages):
        if not _LANGUAGE.fullmatch(name):
            said = f'"{name}" is no code of a language'
            yield (*_CLEAN, "languages", index), said, "ISO 639-1 codes, e.g. languages: [en, de]"
    for index, name in enumerate(clean.decontaminate):
        if not name.strip():
            yield (*_CLEAN, "decontaminate", index), "an empty name", "a benchmark, e.g. mt_bench, or a file"


def _short(number: float) -> str:
    return f"{number:.6g}"
