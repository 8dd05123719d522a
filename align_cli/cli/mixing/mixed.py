"""What `align mix` does before it prints: a recipe's mixture, built or found, and its rows as tokens.

The road is that of `align train` up to its first step: the same code, the same store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.cli.recipes import task as task_command
from align_cli.cli.training import known
from align_cli.errors import DataError, LaunchError, UsageError
from align_cli.recipe.schema import Recipe
from align_cli.tasks.task import Prepared, Task

if TYPE_CHECKING:
    from align_cli.mix.build import Build
    from align_cli.mix.measure import Measure
    from align_cli.mix.reading.engines import Engine

Say = Callable[[str], None]
_EVERYTHING = 1 << 62  # bytes: whoever asks for processes gets them


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """A mixture in the store, and what becomes of it as tokens."""

    recipe: Recipe
    task: Task
    build: Build
    tokenizer: Path | None
    """Folder of the model's tokenizer; None when it is not at hand or not wanted."""
    prepared: Prepared | None
    why_no_tokens: str
    seconds: float


#: The task of a recipe that does not tell: most are, and preference pairs are refused with the hint to name another.
_USUAL = "sft"


def load(words: Sequence[str], task: str | None) -> tuple[Recipe, Task]:
    """The recipe that the words of a command line mean, and the task it is for; sft where nothing tells another.

    Raises:
        UsageError: no recipe is named.
    """
    from align_cli.cli.recipes.recipe import task_of
    from align_cli.recipe import load as loading

    if not words:
        raise UsageError("no recipe is named", hint="align mix RECIPE; align recipe ls lists those shipped")
    named = next((word for word in words if not word.startswith("-") and "=" not in word), None)
    if task is None and named is None:
        raise UsageError("no recipe is named", hint="a mixture on the command line alone needs --task, e.g. --task sft")
    chosen = task_command.get(task or task_of(str(named), fallback=_USUAL))
    return loading.load(words, chosen), chosen


def demand_data(recipe: Recipe, task: Task) -> None:
    """Stop for what is known to be wrong with the data before any work; a missing model is no obstacle here.

    Raises:
        DataError: everything that is wrong.
    """
    if not recipe.mixture.sources:
        raise DataError("the recipe names no training data", hint="add mixture: {sources: [{path: FILE}]}")
    facts = known.before(recipe, task).facts
    if problems := [problem for fact in facts for problem in fact.problems]:
        raise DataError("the data cannot be read", problems=problems)


def engine(name: str | None, workers: int | None) -> Engine | None:
    """The engine that the command line asks for; None: what suits the amount of data."""
    if name is None and workers is None:
        return None
    from align_cli.mix.reading import engines

    return engines.choose(name or "local", workers, size=_EVERYTHING)


def make(recipe: Recipe, task: Task, *, tokens: bool, engine: Engine | None, say: Say) -> Mixed:
    """Build the mixture or find it in the store, and prepare its rows as `align train` does."""
    from align_cli.mix.build import build
    from align_cli.tasks.preparing.tokens import prepare_for

    started = time.monotonic()
    needed = needs_tokenizer(recipe)
    tokenizer, why = tokenizer_of(recipe, say) if tokens or needed else (None, "--no-tokens")
    counts = measure(recipe, tokenizer, say) if needed else None
    built = build(recipe.mixture, task.rows, measure=counts, engine=engine, say=say)
    prepared = None
    if not tokens:
        why = "--no-tokens"
    elif tokenizer is not None:
        prepared = prepare_for(task, recipe, tokenizer, say=say)
    return Mixed(
        recipe=recipe,
        task=task,
        build=built,
        tokenizer=tokenizer,
        prepared=prepared,
        why_no_tokens="" if prepared else why,
        seconds=time.monotonic() - started,
    )


def needs_tokenizer(recipe: Recipe) -> bool:
    """Whether rows must be measured to choose them: some amount is given in tokens."""
    from align_cli.tasks.preparing.tokens import counts_tokens

    return counts_tokens(recipe.mixture)


def measure(recipe: Recipe, tokenizer: Path | None, say: Say) -> Measure | None:
    """How the mixture counts tokens; None where no tokenizer is at hand."""
    if tokenizer is None:
        return None
    from align_cli.tasks.preparing import measure as measures
    from align_cli.tasks.preparing.settings import choose

    return measures.measure(recipe, choose(recipe, tokenizer, say=say))


def with_tokenizer(mixed: Mixed, say: Say) -> Mixed:
    """The same with the tokenizer's folder, where it is at hand."""
    folder, why = tokenizer_of(mixed.recipe, say)
    return replace(mixed, tokenizer=folder, why_no_tokens=why)


def tokenizer_of(recipe: Recipe, say: Say) -> tuple[Path | None, str]:
    """The tokenizer's folder; or None and why there is none. A model's weights are not fetched for this."""
    from align_cli.models.locate import check, locate_tokenizer

    name = recipe.get("tokenizer_name_or_path") or recipe.get("model_name_or_path")
    if not name:
        return None, "the recipe names no model"
    problem = check(name)
    if problem and not Path(name).expanduser().is_dir():  # a folder with a tokenizer alone is enough
        return None, str(problem)
    revision = recipe.values.get("model_revision") if name == recipe.get("model_name_or_path") else None
    try:
        return locate_tokenizer(name, revision=revision, say=say), ""
    except (LaunchError, UsageError) as error:
        return None, error.message + (f" ({error.hint})" if error.hint else "")


def document(mixed: Mixed) -> dict[str, Any]:
    """Everything `align mix` knows, as one JSON-able document; the page and `--json` show the same values.

    `mixture` is the store's report without the document of its inputs, `tokens` the report of the preparation.
    """
    recipe, build = mixed.recipe, mixed.build
    report = {key: value for key, value in build.report.items() if key != "inputs"}
    tokens = None
    if mixed.prepared is not None:
        tokens = {key: value for key, value in mixed.prepared.report.items() if key != "mixture"}
        tokens |= {"digest": mixed.prepared.digest, "folder": str(mixed.prepared.folder)}
        tokens["from_store"] = mixed.prepared.from_store
    return {
        "task": mixed.task.name,
        "recipe": {"path": recipe.path, "overrides": list(recipe.overrides), "profile": recipe.profile},
        "digest": build.digest,
        "folder": str(build.folder),
        "from_store": build.from_store,
        "seconds": round(mixed.seconds, 2),
        "mixture": report,
        "tokens": tokens,
        "why_no_tokens": mixed.why_no_tokens,
        "notes": [str(note) for note in recipe.notes],
        "lock": None,
        "export": None,
        "rows": [],
    }
