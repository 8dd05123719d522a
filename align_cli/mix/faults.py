"""The error for one thing that is wrong with the data."""

from __future__ import annotations

from align_cli.errors import DataError, Problem


def fault(where: str, message: str, hint: str = "") -> DataError:
    """A DataError with this one problem; `build` joins the problems of several."""
    return DataError("the data cannot be used", problems=[Problem(message, where, hint)])
