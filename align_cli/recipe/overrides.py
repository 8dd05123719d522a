"""The words after the task's name: one recipe, and overrides in every spelling people type.

`key=value`, `--key=value`, `--key value`, `--flag`, `--no_flag`, `--kebab-case`, `mixture.sources.0.fraction=0.5`.
A word of the launch block is an option of its own: `--num-processes 2` is `launch.num_processes=2`.
There is no prefix matching: `--learning_rat` is an error, not a guess.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from align_cli.errors import Problem
from align_cli.recipe.decode import FALSE_WORDS, TRUE_WORDS, is_flag
from align_cli.recipe.fields import Field
from align_cli.recipe.paths import is_there
from align_cli.recipe.schema import Launch


@dataclass(frozen=True, slots=True)
class Override:
    """One override. `words` is what was typed; `text` its value, not yet typed."""

    key: str
    text: str
    words: str

    @property
    def path(self) -> tuple[str | int, ...]:
        """`a.0.b` -> `("a", 0, "b")`."""
        return tuple(int(part) if part.isdigit() else part for part in self.key.split("."))

    def __str__(self) -> str:
        return f"{self.key}={self.text}"


class Words(NamedTuple):
    """A split command line."""

    recipe: str | None
    overrides: list[Override]
    problems: list[Problem]


def launch_option(name: str) -> str:
    """The key of a launch option, `launch.num_processes` for `--num-processes`; empty where it is none."""
    word = name.removeprefix("--").partition("=")[0].replace("-", "_")
    return f"launch.{word}" if name.startswith("--") and word in Launch.__slots__ else ""


def near_launch_option(word: str) -> str:
    """What somebody meant who typed an option that does not exist, among those of the launch block."""
    import difflib

    near = difflib.get_close_matches(word.replace("-", "_"), Launch.__slots__, n=1, cutoff=0.75)
    return f"did you mean --{near[0].replace('_', '-')}?" if near else ""


def whose(path: str | None, problems: Sequence[Problem], typed: Collection[str]) -> str:
    """What a headline blames: the recipe's file, unless all that is wrong is among the words `typed` beside it."""
    return path if path and not all(item.where in typed for item in problems) else "the command line"


def split_words(words: Sequence[str], fields: Mapping[str, Field], also: Collection[str] = ()) -> Words:
    """Sort words into the recipe and the overrides. `also` holds keys that are known beside the fields."""
    splitter = _Splitter(fields, frozenset(also))
    waiting = list(words)
    while waiting:
        splitter.take(waiting)
    return Words(splitter.recipe, splitter.overrides, splitter.problems)


_KEY = re.compile(r"[A-Za-z_][\w-]*(\.[^=\s]+)*")


class _Splitter:
    def __init__(self, fields: Mapping[str, Field], also: frozenset[str]) -> None:
        self.fields, self.also = fields, also
        self.recipe: str | None = None
        self.overrides: list[Override] = []
        self.problems: list[Problem] = []

    def take(self, waiting: list[str]) -> None:
        word = waiting.pop(0)
        if word.startswith("-") and word.strip("-") and not _is_number(word):
            self._option(word, waiting)
            return
        key, equals, value = word.partition("=")
        if equals and _KEY.fullmatch(key) and not is_there(word, "file"):
            self._add(self._known(key), value, word)
        else:
            self._positional(word)

    def _option(self, word: str, waiting: list[str]) -> None:
        name, equals, value = word.lstrip("-").partition("=")
        if name == "config" and "config" not in self.fields:
            if not equals and not waiting:
                self.problems.append(Problem("--config needs a file", word))
                return
            self._positional(value if equals else waiting.pop(0))
            return
        key = launch_option(word) or self._known(name)
        if equals:
            self._add(key, value, word)
            return
        negated = self._negated(key)
        if negated:
            self._add(negated, "false", word)
            return
        following = waiting[0] if waiting else None
        if self._is_flag(key) and (following is None or following.lower() not in TRUE_WORDS | FALSE_WORDS):
            self._add(key, "true", word)
        elif following is not None and self._is_value(key, following):
            self._add(key, waiting.pop(0), f"{word} {following}")
        else:
            if self._is_known(key):
                self.problems.append(Problem("needs a value", word, f"{word}=VALUE"))
            else:
                self._add(key, "true", word)  # reported as unknown with all other keys

    def _positional(self, word: str) -> None:
        if self.recipe is None:
            self.recipe = word
        elif not word:
            self.problems.append(Problem("an empty word", "command line"))
        else:
            known = self._known(word)
            hint = f"{known}=VALUE" if self._is_known(known) else "write an override as key=value"
            self.problems.append(Problem(f"a second recipe beside {self.recipe}", word, hint))

    def _add(self, key: str, text: str, words: str) -> None:
        if any(not part for part in key.split(".")):
            self.problems.append(Problem("an empty part in the key", words))
            return
        self.overrides.append(Override(key, text, words))

    def _known(self, name: str) -> str:
        """The key's own spelling: `--learning-rate` is `learning_rate`."""
        first, dot, rest = name.partition(".")
        if not self._is_known(first) and self._is_known(first.replace("-", "_")):
            first = first.replace("-", "_")
        elif not self._is_known(first) and not self._negated(first):
            snake = first.replace("-", "_")
            first = snake if snake.isidentifier() else first
        return first + dot + rest

    def _is_known(self, key: str) -> bool:
        first = key.partition(".")[0]
        return first in self.fields or first in self.also

    def _negated(self, key: str) -> str:
        snake = key.replace("-", "_")
        if not snake.startswith("no_") or self._is_known(snake):
            return ""
        name = snake.removeprefix("no_")
        return name if self._is_flag(name) else ""

    def _is_flag(self, key: str) -> bool:
        return key in self.fields and is_flag(self.fields[key])

    def _is_value(self, key: str, word: str) -> bool:
        if word.startswith("--"):
            return False
        if word.startswith("-") and not _is_number(word):
            return False
        if self._is_known(key):
            return True
        # An unknown option: its value goes with it unless the word is plainly the recipe or an override.
        return not (Path(word).suffix in {".yaml", ".yml"} or ("=" in word and _KEY.fullmatch(word.partition("=")[0])))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
