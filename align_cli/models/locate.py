"""From the name a recipe gives a model to a local folder that a trainer can open: adapters are merged on the way.

A name is a folder, a `.gguf` file, `pkg://PACKAGE/FILE` or a Hub id (see `places`). What it means may be an adapter;
then the folder is that of the whole model which base and adapters make, merged once into the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from align_cli.errors import LaunchError, Problem, RecipeError, UsageError
from align_cli.models import fitting
from align_cli.models.adapters import chains as adapters
from align_cli.models.adapters import merging, stackable
from align_cli.models.adapters.chains import Chain
from align_cli.models.finding import places
from align_cli.models.finding.places import find_tokenizer as locate_tokenizer
from align_cli.models.fitting import check
from align_cli.recipe.schema import Recipe

__all__ = ["chain", "check", "locate", "locate_for", "locate_tokenizer"]


def locate(
    name: str,
    *,
    revision: str | None = None,
    base_revision: str | None = None,
    trust_remote_code: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """The local folder of the whole model that `name` means; `base_revision` is for the base of an adapter.

    Raises:
        UsageError: nothing has that name, what is there is not a model, or an adapter and its base do not go together.
        LaunchError: it has to be fetched and cannot be, or to be converted and the converter fails.
        TrainingError: an adapter could not be merged.
    """
    found = chain(name, revision=revision, base_revision=base_revision, trust_remote_code=trust_remote_code, say=say)
    if not found.adapters:
        return found.base.folder
    return merging.stage(found, trust_remote_code=trust_remote_code, say=say)


def locate_for(recipe: Recipe, *, say: Callable[[str], None] = lambda line: None) -> Path:
    """The folder that the recipe's run starts from; its reference model is fetched as well, while nothing is done yet.

    Raises:
        RecipeError: the recipe's new adapter could not be saved as one with those below it; known before the merge.
        UsageError, LaunchError, TrainingError: as `locate`.
    """
    trusted = bool(recipe.get("trust_remote_code"))
    name, reference = recipe.get(fitting.MODEL), recipe.get(fitting.REFERENCE)
    with _placed(recipe, fitting.MODEL):
        found = chain(
            name,
            revision=recipe.values.get("model_revision"),
            base_revision=recipe.values.get("base_model_revision"),
            trust_remote_code=trusted,
            say=say,
        )
        if problem := stackable.problem(found, recipe):
            raise RecipeError(problem.message, hint=problem.hint)
        folder = merging.stage(found, trust_remote_code=trusted, say=say) if found.adapters else found.base.folder
    if reference and reference != name:
        with _placed(recipe, fitting.REFERENCE):
            locate(reference, revision=recipe.get("ref_model_revision"), trust_remote_code=trusted, say=say)
    return folder


def chain(
    name: str,
    *,
    revision: str | None = None,
    base: str | None = None,
    base_revision: str | None = None,
    trust_remote_code: bool = False,
    only_here: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Chain:
    """The model that `name` means, as a base and the adapters on it; `base` is used instead of what an adapter names.

    `only_here`: nothing is fetched.

    Raises:
        UsageError: as `locate`.
        LaunchError: as `locate`.
    """

    def find(wanted: str, at: str | None) -> Path:
        return places.find(wanted, revision=at, trust_remote_code=trust_remote_code, only_here=only_here, say=say)

    folder = find(name, revision)
    found = adapters.chain(folder, name=name, revision=revision, base=base, base_revision=base_revision, find=find)
    assert found is not None
    if base and not found.adapters:
        raise UsageError(f"{name}: this is a whole model, which needs no base", hint="leave --base out")
    return found


@contextmanager
def _placed(recipe: Recipe, key: str) -> Iterator[None]:
    """What is wrong with a model that the recipe names is said with its key and the place of it."""
    try:
        yield
    except (UsageError, LaunchError) as error:
        if error.problems:
            raise
        problem = fitting.placed(recipe, key, Problem(error.message, "", error.hint))
        raise type(error)(fitting.UNUSABLE, problems=[problem]) from error
