"""What a rule across keys looks at, and how it complains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from align_cli.errors import Problem
from align_cli.recipe.fields import Field
from align_cli.recipe.schema import Note, Recipe, Source

Finding = Problem | Note


class Unread(Exception):
    """A rule needs a value that could not be read."""


class View:
    """A recipe as rules across keys see it."""

    def __init__(self, recipe: Recipe, fields: Mapping[str, Field], unread: frozenset[str]) -> None:
        self.recipe, self.fields, self.unread = recipe, fields, unread
        self.chosen = recipe.values
        self.is_native = recipe.mixture.combine == "native"

    def get(self, key: str, otherwise: Any = None) -> Any:
        """The value in force, chosen or upstream's default.

        Raises:
            Unread: the value in the recipe is wrong, so nobody knows.
        """
        if key in self.unread:
            raise Unread(key)
        return self.recipe.get(key, otherwise)

    def problem(self, key: str, message: str, hint: str = "") -> Problem:
        """Something wrong, at the place of `key`."""
        return Problem(message, self.where(key), hint)

    def note(self, key: str, message: str) -> Note:
        """Something worth knowing, at the place of `key`."""
        return Note(key, message, self.where(key))

    def where(self, key: str) -> str:
        """The place somebody wrote `key` at, else the recipe."""
        origin = self.recipe.origins.get(key)
        return str(origin) if origin is not None and origin.kind != "profile" else self.recipe.path

    def sources(self) -> Iterator[tuple[Source, str]]:
        """The sources to train on, each with its key."""
        for index, source in enumerate(self.recipe.mixture.sources):
            yield source, f"mixture.sources.{index}"
