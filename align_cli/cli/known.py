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
    from align_cli.models.locate import check_for

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
    name = recipe.get("model_name_or_path")
    origin = recipe.origins.get("model_name_or_path")
    unnamed = Problem("no model is named", "model_name_or_path", "set it to a folder or a Hub id")
    model = check_for(recipe) if name else unnamed
    if model is not None and is_old and name and not Path(name).expanduser().exists() and "://" not in name:
        elsewhere.append(Note("model_name_or_path", f"{name} is not on this machine", str(origin or "")))
        model = None
    if model is not None:
        where = f"{origin}: {model.where}" if origin and model.where else model.where
        from_recipe.insert(0, replace(model, where=where))
    if from_recipe:
        problems = [*from_recipe, *from_data]
        return Known(facts, elsewhere, RecipeError("the recipe names what is not there", problems=problems))
    error = DataError("the data cannot be read", problems=from_data) if from_data else None
    return Known(facts, elsewhere, error)


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


def of_output(recipe: Recipe, global_batch: int | None = None) -> list[Note]:
    """What a real run would find in the output folder, where there is one already."""
    from align_cli.runs import directory

    if not Path(recipe.get("output_dir") or "").expanduser().is_dir():
        return []
    try:
        run = directory.open_run(recipe, global_batch=global_batch)
    except UsageError as error:
        keys = ", ".join(problem.where for problem in error.problems)
        return [Note("output_dir", f"a run would be refused: {error.message}{f' ({keys})' if keys else ''}")]
    if run.state == "finished":
        return [Note("output_dir", f"{run.path} holds this very run, finished: a run would do nothing")]
    if run.checkpoint is not None:
        return [Note("output_dir", f"a run would go on from {run.checkpoint}")]
    return list(run.notes)
