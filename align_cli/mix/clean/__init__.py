"""Cleaning: rows mended or left out before they are mixed, each step counted and every row of it shown.

`repair` mends conversations as they are read; `inspect` looks at single rows; `duplicates` at all of them together.
"""

from __future__ import annotations

from align_cli.mix.clean.inspect import STEPS
from align_cli.mix.clean.plan import identities as references
from align_cli.mix.clean.plan import plan

__all__ = ["STEPS", "plan", "references"]
