"""Every error a user can meet, in one tree, each with its exit code.

::

    AlignError                 1
    ├── UsageError             2   the command line is wrong
    │   └── RecipeError        2   the recipe is wrong
    ├── DataError              3   the data are wrong
    ├── LaunchError            4   this host cannot run the plan
    ├── PluginError            5   a plugin is broken
    ├── EndpointError          6   a judge or endpoint failed
    ├── GateError              7   a gate did not pass
    ├── TrainingError          1   the work itself failed
    └── Interrupted          130   Ctrl-C; what was done is saved
        └── Terminated       143   the same, asked for by SIGTERM: a batch system may start the command again

An error carries plain text only: colours and tables belong to the command line's renderer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where it is, and what to do about it.

    `where` is `file:line`, a key, or a row's place; empty when the message says it all.
    """

    message: str
    where: str = ""
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.placed} ({self.hint})" if self.hint else self.placed

    @property
    def placed(self) -> str:
        """The message behind its place; the key and value of an override, which are its place, are said once."""
        if not self.where:
            return self.message
        option = self.where.startswith("--")  # --key value, --key=value
        key, equals, value = self.where.removeprefix("--").replace(" ", "=" if option else " ", 1).partition("=")
        message = self.message
        for said in (key, value) if equals else (self.where,):
            message = message.removeprefix(f"{said}: ")
        return f"{self.where}: {message}"


class AlignError(Exception):
    """The root of the tree: a message, what to do next, and all problems that were found together."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.problems = tuple(problems)

    def as_dict(self) -> dict[str, Any]:
        """The document that `--json` prints on stderr."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "problems": [{"where": p.where, "message": p.message, "hint": p.hint} for p in self.problems],
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class UsageError(AlignError):
    """The command line names something that does not exist or does not fit."""

    exit_code = 2


class RecipeError(UsageError):
    """The recipe cannot be what its author meant; `problems` lists everything that was found."""


class DataError(AlignError):
    """The data cannot be read, or cannot be what the task needs."""

    exit_code = 3


class LaunchError(AlignError):
    """This host cannot run the plan."""

    exit_code = 4


class PluginError(AlignError):
    """A plugin that was named cannot be imported or does not hold what it promised."""

    exit_code = 5


class EndpointError(AlignError):
    """A judge or a model endpoint failed."""

    exit_code = 6


class GateError(AlignError):
    """A gate did not pass."""

    exit_code = 7


class TrainingError(AlignError):
    """The work started and failed; the run directory's failure files say where."""


class Interrupted(AlignError):
    """The user pressed Ctrl-C; the message says what was saved and how to go on."""

    exit_code = 130


class Terminated(Interrupted):
    """SIGTERM, as a batch system sends it before it takes the machine away; what was done is saved."""

    exit_code = 143


#: Exit code -> meaning; the reference page is generated from this table.
EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "the work failed (see the run's failure files)",
    2: "the usage or the recipe is wrong",
    3: "the data are wrong",
    4: "this host cannot run the plan",
    5: "a plugin is broken",
    6: "a judge or endpoint failed",
    7: "a gate did not pass",
    130: "interrupted; what was done is saved",
    143: "terminated by SIGTERM; what was done is saved",
}
