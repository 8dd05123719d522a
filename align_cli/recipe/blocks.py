"""Our own blocks (`mixture:`, `launch:`) from a tree to values, every problem with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from align_cli.errors import Problem
from align_cli.recipe import block_words, checks_amounts
from align_cli.recipe.decode import WrongType, typed
from align_cli.recipe.fields import Field, fields_of
from align_cli.recipe.provenance import Key, dotted
from align_cli.recipe.schema import Clean, Launch, Mixture, Source

Where = Callable[[Key], str]
_SCHEMA = "align_cli.recipe.schema"

_PARTS = {"mixture": ("Mixture", "Source", "Clean"), "launch": ("Launch",)}
#: Numbers that mean the same written 1 and 1.0, and must have one digest.
_REAL = frozenset({"fraction", "share", "repeat", "temperature", "near"})


def block_keys(name: str) -> frozenset[str]:
    """Words that a block knows, for telling a key in the wrong block from an unknown one."""
    return frozenset(key for part in _PARTS[name] for key in _fields(part))


def mixture(tree: Any, where: Where, known: Iterable[str]) -> tuple[Mixture, list[Problem]]:
    """The `mixture:` block; `known` are the flat keys, to recognise one that is in the wrong place."""
    reader = _Reader(where, frozenset(known))
    return reader.mixture(tree), reader.problems


class ReadLaunch(NamedTuple):
    """The `launch:` block, what is wrong with it, and the words whose value could not be read."""

    launch: Launch
    problems: list[Problem]
    unread: set[str]


def launch(tree: Any, where: Where, known: Iterable[str]) -> ReadLaunch:
    """The `launch:` block."""
    reader = _Reader(where, frozenset(known))
    values = reader.values(tree if tree is not None else {}, ("launch",), "Launch", frozenset())
    number = values.get("num_processes", "auto")
    if isinstance(number, str) and number != "auto":
        key: Key = ("launch", "num_processes")
        reader.unread.add("num_processes")
        said = f'launch.num_processes: expected a whole number or auto, not "{values.pop("num_processes")}"'
        reader.problems.append(Problem(said, where(key)))
    return ReadLaunch(Launch(**values), reader.problems, reader.unread)


def _fields(name: str) -> dict[str, Field]:
    return fields_of((f"{_SCHEMA}:{name}",))


class _Reader:
    def __init__(self, where: Where, known: frozenset[str]) -> None:
        self.where, self.known = where, known
        self.problems: list[Problem] = []
        self.unread: set[str] = set()
        """Words of the block whose value is wrong somewhere."""

    def mixture(self, tree: Any) -> Mixture:
        key: Key = ("mixture",)
        if isinstance(tree, str | list):
            tree = {"sources": tree}
        values = self.values(tree, key, "Mixture", frozenset({"sources", "eval", "clean"}))
        train: list[tuple[Source, Key]] = []
        evaluate: list[tuple[Source, Key]] = []
        if isinstance(tree, dict):
            train = self._sources(tree.get("sources"), (*key, "sources"))
            evaluate = self._sources(tree.get("eval"), (*key, "eval"))
            values["clean"] = self._clean(tree.get("clean"), (*key, "clean"))
        sources, evaluation = (tuple(source for source, _ in placed) for placed in (train, evaluate))
        result = Mixture(sources=sources, eval=evaluation, **values)
        if not sources and not self.problems:
            hint = "mixture.sources: a list of files, folders or Hub ids"
            self._problem((*key, "sources"), "there are no rows to train on", hint)
        for complaint in checks_amounts.check(result, train, evaluate, self.unread):
            self._problem(*complaint)
        return result

    def values(self, tree: Any, key: Key, name: str, skip: frozenset[str]) -> dict[str, Any]:
        """Typed values of one dataclass; what does not fit is a problem and left out."""
        if not isinstance(tree, dict):
            self._problem(key, f"{dotted(key)} must be a mapping", block_words.hint_of_value(str(key[-1]), tree))
            return {}
        fields, result = _fields(name), {}
        for word, value in tree.items():
            inner = (*key, word)
            if word in skip:
                continue
            if word not in fields:
                self._unknown(inner, str(word), name)
                continue
            field = fields[word]
            if value is None and field.default is not None:
                continue  # `fraction:` with nothing after it
            try:
                result[word] = _plain(word, typed(field, _language(value) if word == "languages" else value))
            except WrongType as error:
                self.unread.add(word)
                hint = block_words.hint_of_value(word, value)
                self._problem(inner, f"{dotted(inner)}: expected {error}", hint)
        return {word: tuple(value) if isinstance(value, list) else value for word, value in result.items()}

    def _sources(self, tree: Any, key: Key) -> list[tuple[Source, Key]]:
        if tree is None:
            return []
        items = tree if isinstance(tree, list) else [tree]
        sources = []
        for index, item in enumerate(items):
            inner = (*key, index) if isinstance(tree, list) else key
            if isinstance(item, str):
                sources.append((Source(path=item), inner))
                continue
            before = len(self.problems)
            values = self.values(item, inner, "Source", frozenset())
            path = values.get("path")
            if not path:
                if len(self.problems) == before:
                    self._problem(inner, f"{dotted(inner)} has no path", "path: FILE, folder or Hub id")
                self.unread.add("share")  # of a source that is left out here
                continue
            sources.append((Source(**values), inner))
        return sources

    def _clean(self, tree: Any, key: Key) -> Clean:
        return Clean() if tree is None else Clean(**self.values(tree, key, "Clean", frozenset()))

    def _unknown(self, key: Key, word: str, name: str) -> None:
        block = str(key[0])
        parts = {part: _fields(part) for part in _PARTS[block]}
        hint = block_words.hint(word, name, parts)
        self.unread.update(block_words.FOREIGN.get(word, ()))
        if not hint and word in self.known:
            self._problem(key, f"{word} does not belong in {block}:", f"{word}: … at the left margin, outside {block}:")
            return
        self._problem(key, f"unknown key {dotted(key)}", hint or block_words.near(word, parts[name]))

    def _problem(self, key: Key, message: str, hint: str = "") -> None:
        self.problems.append(Problem(message, self.where(key), hint))


def _plain(word: str, value: Any) -> Any:
    """A number in the one form that its meaning has."""
    if word in _REAL and isinstance(value, int):
        return float(value)
    if word == "held_out" and isinstance(value, float) and value >= 1 and value.is_integer():
        return int(value)
    return value


def _language(value: Any) -> Any:
    """YAML 1.1 reads Norwegian, an unquoted `no`, as false."""
    return [_language(item) for item in value] if isinstance(value, list) else "no" if value is False else value
