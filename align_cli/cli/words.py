"""A command that reads its flags and leaves every other word as it was typed."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class WordsCommand(TyperCommand):
    """Flags are parsed; recipe, overrides and all that follows stay in `ctx.args`, in order.

    The declared arguments are there for the help and for completion. Parsing them would cost more than all else a
    dry run does, because typer validates every value that is not a flag through pydantic, and a third of a short
    command's time would be pydantic's import.
    """

    _whole = False

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """Only flags while parsing; everything for help and completion."""
        params = super().get_params(ctx)
        if self._whole or ctx.resilient_parsing:
            return params
        return [param for param in params if getattr(param, "is_flag", False)]

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]
        """The help, arguments included."""
        self._whole = True
        return super().get_help(ctx)


class OptionsCommand(WordsCommand):
    """A `WordsCommand` that also takes options with a value; they are validated only where they are given."""

    _given: frozenset[str] = frozenset()

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Note which options are on the line, then parse."""
        self._given = frozenset(word.partition("=")[0] for word in args if word.startswith("-"))
        return super().parse_args(ctx, args)

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """Flags, and the options that are given."""
        params = super(WordsCommand, self).get_params(ctx)
        if self._whole or ctx.resilient_parsing:
            return params
        return [param for param in params if getattr(param, "is_flag", False) or self._given.intersection(param.opts)]
