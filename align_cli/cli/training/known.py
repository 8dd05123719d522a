"""What can be known of a run before it starts: its data, its model, its output folder. Nothing heavy, no network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from align_cli.errors import AlignError, DataError, Problem, RecipeError, UsageError
from align_cli.recipe.schema import Note, Recipe
from align_cli.tasks.task import Task

if TYPE_CHECKING:
    from align_cli.mix.describe import SourceFact
    from align_cli.models.fitting import Misfit


class Known(NamedTuple):
    """Facts about the sources, and what is already wrong."""

    facts: list[SourceFact]
    elsewhere: list[Note]
    """Paths of the machine an old recipe was written on: no reason to fail its dry run."""
    error: AlignError | None
    """Everything that is already wrong with the data and the model."""

    @property
    def obstacle(self) -> AlignError | None:
        """What stands in the way of a real run: a path of another machine does, too."""
        if self.error is None and self.elsewhere:
            return RecipeError(
                "the recipe names paths that are not on this machine",
                problems=[Problem(note.message, note.where) for note in self.elsewhere],
                hint="override them: KEY=VALUE after the recipe",
            )
        return self.error


def before(recipe: Recipe, task: Task) -> Known:
    """What can be known of data and model without work."""
    from align_cli.mix.describe import describe
    from align_cli.models import fitting

    facts = describe(recipe.mixture, task.rows)
    is_old = recipe.profile.startswith("handbook")
    elsewhere: list[Note] = []
    from_data: list[Problem] = []
    for number, fact in enumerate(facts):
        if not fact.problems:
            continue
        if is_old and fact.exists is False and Path(fact.path).is_absolute():
            elsewhere.append(Note(f"mixture.sources.{number}", f"{fact.path} is not on this machine", fact.label))
        else:
            from_data += fact.problems
    from_data += _of_masks(recipe, facts)
    from_recipe = _of_cleaning(recipe)
    models = []
    for key, problem in _of_models(recipe, task):
        name = str(recipe.get(key) or "")
        is_model = key in (fitting.MODEL, fitting.REFERENCE)
        if is_old and is_model and name and not Path(name).expanduser().exists() and "://" not in name:
            elsewhere.append(Note(key, f"{name} is not on this machine", problem.where))
        else:
            models.append(problem)
    if models or from_recipe:
        problems = [*models, *from_recipe, *from_data]
        said = fitting.UNUSABLE if models else "the recipe's cleaning cannot be done"
        return Known(facts, elsewhere, RecipeError(said, problems=problems))
    error = DataError("the data cannot be read", problems=from_data) if from_data else None
    return Known(facts, elsewhere, error)


def _of_models(recipe: Recipe, task: Task) -> list[Misfit]:
    """What is wrong with the models that it names. A task that prepares its rows itself may train any kind of model."""
    from align_cli.models import fitting

    if not recipe.get(fitting.MODEL):
        missing = Problem("no model is named", fitting.MODEL, "set it to a folder or a Hub id")
        return [fitting.Misfit(fitting.MODEL, missing)]
    return fitting.misfits(recipe, speaks=task.shape != "scored" and task.prepare is None)


def _of_cleaning(recipe: Recipe) -> list[Problem]:
    """Benchmarks, files, languages and packages that cleaning asks for and cannot have."""
    asked = recipe.mixture.clean
    if not (asked.decontaminate or asked.languages):
        return []
    from align_cli.mix import clean

    try:
        clean.references(asked)
        clean.demand_languages(asked)
    except DataError as error:
        keys = ("decontaminate", "languages")
        origins = [str(origin) for key in keys if (origin := recipe.origins.get(f"mixture.clean.{key}"))]
        place = ", ".join(dict.fromkeys(origins))
        found = error.problems or (Problem(error.message, "", error.hint),)
        return [replace(one, where=": ".join(part for part in (place, one.where) if part)) for one in found]
    return []


def _of_masks(recipe: Recipe, facts: list[SourceFact]) -> list[Problem]:
    """A loss mask that rows without turns cannot have; beside conversations they become conversations."""
    shapes = {fact.shape for fact in facts}
    if not recipe.get("assistant_only_loss") or not shapes or not shapes <= {"text", "pair_text"}:
        return []
    origin = str(recipe.origins.get("assistant_only_loss") or "")
    hint = "remove it, or give conversations (messages)"
    return [Problem("assistant_only_loss: the rows are plain text, without turns", origin, hint)]


def of_output(recipe: Recipe, global_batch: int | None = None, *, restart: bool = False) -> list[Note]:
    """What a real run would find in the output folder, where there is one already."""
    from align_cli.runs import directory

    if not Path(recipe.get("output_dir") or "").expanduser().is_dir():
        return []
    try:
        run = directory.open_run(recipe, restart=restart, global_batch=global_batch)
    except UsageError as error:
        keys = ", ".join(problem.where for problem in error.problems)
        return [Note("output_dir", f"a run would be refused: {error.message}{f' ({keys})' if keys else ''}")]
    if restart and run.move_aside:
        return [Note("output_dir", f"a run would move what {run.path} holds aside, and begin anew (--restart)")]
    if run.state == "finished":
        return [Note("output_dir", f"{run.path} holds this very run, finished: a run would do nothing")]
    if run.checkpoint is not None:
        return [Note("output_dir", f"a run would go on from {run.checkpoint}")]
    return list(run.notes)
