"""Which stored answers the words of `align eval arena serve` mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from align_cli.cli.evals import places
from align_cli.errors import Problem, UsageError
from align_cli.evals import folder, registered
from align_cli.evals.arena.serve import reading
from align_cli.evals.arena.serve.material import Answered
from align_cli.evals.benchmark import Assets
from align_cli.evals.folder import Evaluation

_SUFFIXES = (".jsonl", ".json")


def answered(
    given: Sequence[tuple[str | None, str]], *, benchmark: str | None, questions: Path | None, assets: Path | None
) -> list[Answered]:
    """What each model said. `given` has a name, or None, and a place, for each.

    Raises:
        UsageError: a word means nothing, or the evaluations are of different benchmarks; all are named.
        DataError: a file cannot be read.
    """
    known = reading.questions_of(questions) if questions else {}
    problems: list[Problem] = []
    files: dict[int, Path] = {}
    found: dict[int, dict[str, Evaluation]] = {}
    for number, (_, place) in enumerate(given):
        path = Path(place).expanduser()
        if path.suffix in _SUFFIXES and not path.is_dir():
            if path.is_file():
                files[number] = path
            else:
                problems.append(Problem("there is no such file", place))
            continue
        evaluations = _evaluations(place)
        if evaluations:
            found[number] = evaluations
        else:
            problems.append(
                Problem(
                    "there are no stored answers of it", place, hint=f"align eval mtbench generate {place} makes some"
                )
            )
    if problems:
        raise UsageError("not all of these have answers", problems=problems, hint=_near())
    chosen = _benchmark(benchmark, [(given[number][1], evaluations) for number, evaluations in found.items()])
    asked = registered.named(chosen).questions(Assets(assets)) if chosen else ()
    return [
        reading.of_file(files[number], known, name)
        if number in files
        else reading.of_evaluation(found[number][chosen], asked, name)
        for number, (name, _) in enumerate(given)
    ]


def _benchmark(wanted: str | None, found: Sequence[tuple[str, dict[str, Evaluation]]]) -> str:
    """The one whose answers are compared.

    Raises:
        UsageError: there is not exactly one.
    """
    if not found:
        return ""
    if wanted is not None:
        registered.named(wanted)
        lacking = [place for place, evaluations in found if wanted not in evaluations]
        if lacking:
            raise UsageError(
                f"{', '.join(lacking)}: there are no {wanted} answers of it",
                hint=f"align eval {wanted} generate {lacking[0]} makes them",
            )
        return wanted
    shared = sorted(set.intersection(*(set(evaluations) for _, evaluations in found)))
    if len(shared) == 1:
        return shared[0]
    if shared:
        raise UsageError(f"the models have answers to {', '.join(shared)}", hint=f"--benchmark {shared[0]}")
    problems = [Problem(f"answers to {', '.join(sorted(evaluations))}", place) for place, evaluations in found]
    raise UsageError("the models have no benchmark in common", problems=problems)


def _evaluations(word: str) -> dict[str, Evaluation]:
    """Every evaluation that a word may mean, by benchmark: its own folder, its run's, or those of the model here."""
    place = Path(word).expanduser()
    here = [place] if (place / folder.FACTS).is_file() else []
    below = [place / places.EVALS, place, Path(places.EVALS) / folder.slug(places.short_name(word))]
    candidates = here or [one.parent for parent in below for one in sorted(parent.glob(f"*/{folder.FACTS}"))]
    found: dict[str, Evaluation] = {}
    for path in candidates:
        evaluation = Evaluation(path)
        found.setdefault(evaluation.benchmark, evaluation)
    return found


def _near() -> str:
    known: list[Path] = sorted(Path(places.EVALS).glob(f"*/*/{folder.FACTS}"))
    shown = ", ".join(str(path.parent) for path in known[:5])
    return f"there are {shown}{' …' if len(known) > 5 else ''}" if known else ""
