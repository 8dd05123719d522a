"""Options that several commands share, declared once: a dataclass is a group, and a command takes whole groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import typer


def takes(*groups: type, argument: Any = inspect.Parameter.empty) -> Callable[[Callable[..., None]], Any]:
    """Make `command(ctx, words, *groups)` a command of typer whose options are the fields of the groups.

    `argument` is the annotation of its one argument; the values of a group's fields come as an instance of it. A
    field's annotation is what typer takes, `Annotated[type, typer.Option(…)]`, and its default is the option's. A
    field that several groups have is one option, given to each of them.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = [
            inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
            inspect.Parameter("words", inspect.Parameter.KEYWORD_ONLY, annotation=argument),
        ]
        known: dict[str, inspect.Parameter] = {}
        for group in groups:
            hints = get_type_hints(group, include_extras=True)
            for one in fields(group):
                assert one.default is not MISSING
                known.setdefault(
                    one.name,
                    inspect.Parameter(
                        one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name]
                    ),
                )

        def call(*, ctx: typer.Context, words: Any, **given: Any) -> None:
            made = [group(**{one.name: given[one.name] for one in fields(group)}) for group in groups]
            command(ctx, words, *made)

        call.__doc__ = command.__doc__
        call.__name__ = command.__name__
        call.__signature__ = inspect.Signature([*parameters, *known.values()])  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in [*parameters, *known.values()]}
        return call

    return decorate
