"""What a model's name on the command line means; where it means nothing, the runs that lie here say what was meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from align_cli.errors import Problem, UsageError

if TYPE_CHECKING:
    from align_cli.models.adapters.chains import Chain

#: What became of a run that has left no model.
_STATES = {
    "running": "this run is still going on",
    "failed": "this run failed",
    "interrupted": "this run was interrupted",
    "prepared": "this run has not begun to train",
}


def chain(
    name: str,
    *,
    revision: str | None = None,
    base: str | None = None,
    base_revision: str | None = None,
    trust_remote_code: bool = False,
    only_here: bool = False,
    say: Callable[[str], None] = lambda line: None,
    verb: str = "chat",
) -> Chain:
    """`locate.chain`, after what a person may have meant otherwise; `verb` is the command that hints name.

    Raises:
        UsageError: also for a run that has no model, a folder that is not there, and a revision of a folder.
        LaunchError: as `locate.chain`.
    """
    from align_cli.models import locate
    from align_cli.models.finding import places

    demand(name, verb=verb)
    if base:
        demand(base, verb=verb)
    if revision and places.here(name) is not None:
        raise UsageError(f"{name}: a local model has no revisions", hint="leave --revision out")
    found = locate.chain(
        name,
        revision=revision,
        base=base,
        base_revision=base_revision,
        trust_remote_code=trust_remote_code,
        only_here=only_here,
        say=say,
    )
    if base_revision and found.adapters:
        below = found.adapters[-2] if len(found.adapters) > 1 else found.base
        if places.here(below.name) is not None:
            raise UsageError(f"{below.name}: a local model has no revisions", hint="leave --base-revision out")
    return found


def demand(word: str, *, verb: str = "chat") -> None:
    """Raise for what cannot be a model as far as this machine can tell, in a moment.

    Raises:
        UsageError: nothing here has that name, or what has it is no model.
    """
    from align_cli.models.finding import places
    from align_cli.runs.reading import find

    place = places.here(word)
    if place is None:
        if (near := _meant(word)) is not None:
            raise UsageError(f"{word}: there is no such folder", hint=near)
    elif place.is_dir() and find.is_run(place) and places.check(word) is not None:
        raise _no_model_yet(word, place, verb)
    if problem := places.check(word):
        raise UsageError(str(Problem(problem.message, problem.where)), hint=problem.hint)


def _meant(word: str) -> str | None:
    """A hint where the word is a path, or the name of a run; None for what may be a model of the Hub."""
    from align_cli.registry import suggest
    from align_cli.runs.reading import find

    if "://" in word or word.endswith(".gguf"):
        return None
    parts = Path(word).parts
    runs = find.below().runs
    exact = [str(run) for run in runs if parts and run.absolute().parts[-len(parts) :] == parts]
    if exact:
        return f"did you mean {' or '.join(exact)}?"
    holds_runs = len(parts) > 1 and (Path(parts[0]) in find.PLACES or any(run.parts[0] == parts[0] for run in runs))
    if not (holds_runs or word.startswith((".", "/", "~"))):
        return None
    hint = suggest(word, map(str, runs))
    return hint if hint.startswith("did you mean") else "align runs ls lists the runs"


def _no_model_yet(word: str, place: Path, verb: str) -> UsageError:
    from align_cli.runs.reading.record import Record

    record = Record(place)
    hint = f"align runs show {word} tells more"
    if (checkpoint := record.last_checkpoint) is not None:
        hint = f"{checkpoint.name} can be used: align {verb} {Path(word) / checkpoint.name}; {hint}"
    return UsageError(f"{word}: {_STATES.get(record.state, f'this run is {record.state}')} and has no model", hint=hint)
