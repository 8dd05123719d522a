"""What cleaning looks for in each row: decided once, before any row is read, and handed to every worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli.errors import DataError, Problem
from align_cli.mix.clean import benchmarks, contamination, humaneval, language, shingles
from align_cli.recipe.schema import Clean


@dataclass(frozen=True, slots=True)
class Plan:
    """What an inspector needs. Plain values: it travels to other processes and machines."""

    clean: Clean
    shape: str
    references: contamination.References | None


def plan(clean: Clean, shape: str, folder: Path, say: Callable[[str], None]) -> Plan | None:
    """What to look for in rows of a shape; None when nothing is asked of single rows.

    Benchmarks are fetched and read here. `folder` is not written to: everything travels with the plan.

    Raises:
        DataError: cleaning that these rows cannot have, a language or benchmark that is not known or cannot be had.
    """
    problems = list(_impossible(clean, shape))
    if problems:
        raise DataError("the recipe's cleaning cannot be done", problems=problems)
    if clean.languages:
        language.demand(clean.languages)
        say(f"keeping texts in {', '.join(clean.languages)}, and those too short to tell")
    found = None
    if clean.decontaminate:
        found = contamination.prepare(benchmarks.texts(clean.decontaminate), clean.ngram)
        short = f" ({found.num_ignored} others are too short)" if found.num_ignored else ""
        say(f"looking for {len(found.names):,} texts of {', '.join(clean.decontaminate)}{short}")
    if clean.decontaminate_humaneval:
        say("looking for docstrings and solutions of HumanEval, word for word")
    limits = (clean.min_turns, clean.max_turns, clean.min_characters, clean.max_characters)
    whole = clean.exact or clean.near or clean.decontaminate_humaneval
    if not (any(limit is not None for limit in limits) or clean.languages or found or whole):
        return None
    return Plan(clean, shape, found)


def identities(clean: Clean) -> dict[str, Any]:
    """What decides the outcome of cleaning beyond the recipe's words, for the mixture's address; cheap.

    Raises:
        DataError: a benchmark or file that is not there, or a package that is missing.
    """
    found: dict[str, Any] = {}
    if clean.decontaminate:
        found["references"] = benchmarks.digests(clean.decontaminate)
    if clean.decontaminate_humaneval:
        found["humaneval"] = humaneval.identity()
    if clean.languages:
        found["language"] = language.identity()
    if clean.near:
        found["near"] = shingles.identity()
    return found


def _impossible(clean: Clean, shape: str) -> list[Problem]:
    problems = []
    if clean.near is not None and not 0 < clean.near <= 1:
        hint = "0.85 leaves out rows of which nearly all is the same"
        problems.append(Problem(f"{clean.near:g} is no similarity above 0 and up to 1", "clean.near", hint))
    if clean.ngram < 1:
        problems.append(Problem(f"no run has {clean.ngram} words", "clean.ngram", "13 is usual"))
    for what, least, most in (
        ("turns", clean.min_turns, clean.max_turns),
        ("characters", clean.min_characters, clean.max_characters),
    ):
        if least is not None and most is not None and least > most:
            problems.append(Problem(f"no row has at least {least} and at most {most} {what}", f"clean.max_{what}"))
    if shape == "text" and (clean.min_turns is not None or clean.max_turns is not None):
        hint = "count characters instead: clean.min_characters"
        problems.append(Problem("the rows are plain text and have no turns to count", "clean.min_turns", hint))
    return problems
