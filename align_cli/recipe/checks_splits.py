"""Rules about splits: what was meant for testing is not to be trained on, and nothing is both.

A split may be an expression, as `datasets` reads it: names joined by `+`, each perhaps with a slice in brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from align_cli.recipe.schema import Source
from align_cli.recipe.view import Finding, View

_WORDS = re.compile(r"[a-z]+")
_PART = re.compile(r"([^\[+]+)(\[[^\]]*\])?")


def training_on_tests(view: View) -> Iterator[Finding]:
    """Sources whose split is a test split by its name, in two notes at most."""
    if "mixture" in view.unread:
        return
    sources = list(view.sources())
    tests = {index: source for index, (source, _) in enumerate(sources) if _says_test(source.split)}
    beside = {source.path for index, (source, _) in enumerate(sources) if index not in tests}
    both = [index for index, source in tests.items() if source.path in beside]
    lone = [index for index in tests if index not in both]
    if both:
        said = f"test splits are trained on: {_names(tests, both)}; results on those rows say nothing about unseen rows"
        yield view.note(f"mixture.sources.{both[0]}.split", said)
    if lone and beside:
        said = f"only the test split of {_names(tests, lone)} is trained on, beside training splits of others"
        yield view.note(f"mixture.sources.{lone[0]}.split", f"{said}: probably a slip")
    elif lone:
        yield view.note(f"mixture.sources.{lone[0]}.split", f"the test split of {_names(tests, lone)} is trained on")


def evaluating_on_training_rows(view: View) -> Iterator[Finding]:
    """Sources to evaluate on whose rows, or some of them, are trained on as well."""
    if "mixture" in view.unread:
        return
    mixture = view.recipe.mixture
    if mixture.clean.exact and mixture.clean.across:
        return  # rows to evaluate on leave the training rows then
    for index, source in enumerate(mixture.eval):
        if any(_overlap(source, other) for other, _ in view.sources()):
            said = f"{source.label} is evaluated on and trained on: the loss will look better than it is"
            yield view.note(f"mixture.eval.{index}.path", said)


def _says_test(split: str | None) -> bool:
    words = _WORDS.findall((split or "").lower())
    return any(word.startswith("test") for word in words) and not any(word.startswith("train") for word in words)


def _names(tests: dict[int, Source], chosen: list[int]) -> str:
    return ", ".join(dict.fromkeys(tests[index].path for index in chosen))


def _overlap(one: Source, other: Source) -> bool:
    """Whether two sources certainly share rows: of two different slices of one split nobody knows before reading."""
    if _rest(one) != _rest(other):
        return False
    for name, piece in _parts(one.split):
        for other_name, other_piece in _parts(other.split):
            if name == other_name and (piece == other_piece or not piece or not other_piece):
                return True
    return False


def _rest(source: Source) -> tuple[object, ...]:
    return source.path, source.config, source.revision, source.data_files, source.where


def _parts(split: str | None) -> list[tuple[str, str]]:
    """(name, slice) of each part; a source that names no split is read from `train` where there is one."""
    found = (_PART.findall(part.strip()) for part in (split or "train").split("+"))
    return [(name.strip(), piece) for name, piece in chain.from_iterable(found)]
