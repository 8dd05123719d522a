"""Cleaning: rows mended or left out before they are mixed, each step counted and every row of it shown.

`repair` mends conversations as they are read; `inspect` looks at single rows; `duplicates` at all of them together.
"""

from __future__ import annotations

from align_cli.mix.clean import language
from align_cli.mix.clean.inspect import STEPS
from align_cli.mix.clean.plan import identities as references
from align_cli.mix.clean.plan import plan
from align_cli.recipe.schema import Clean

__all__ = ["STEPS", "demand_languages", "plan", "references"]


def demand_languages(clean: Clean) -> None:
    """Stop for languages that cannot be told, or the lack of what tells them.

    Raises:
        DataError: an unknown code, or a package that is missing.
    """
    if clean.languages:
        language.demand(clean.languages)
