"""Which stored answers the words of `align eval arena serve` mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from align_cli.cli.evals import places
from align_cli.errors import AlignError, Problem, UsageError
from align_cli.evals import folder, registered
from align_cli.evals.arena.serve import reading
from align_cli.evals.arena.serve.material import Answered
from align_cli.evals.asked import questions_of
from align_cli.evals.benchmark import Assets
from align_cli.evals.folder import Evaluation

_SUFFIXES = (".jsonl", ".json")
#: Whose answers are made for one model at a time, as the hint says it.
_USUAL = ("mtbench", "alpacaeval")
_Evaluations = Mapping[str, Sequence[Evaluation]]


def answered(
    given: Sequence[tuple[str | None, str]], *, benchmark: str | None, questions: Path | None, files: Assets
) -> list[Answered]:
    """What each model said. `given` has a name, or None, and a place, for each.

    Raises:
        UsageError: a word means nothing, or it is not clear which of several evaluations is meant; all are named.
        DataError: a file cannot be read.
    """
    known = reading.questions_of(questions) if questions else {}
    problems: list[Problem] = []
    texts: dict[int, Path] = {}
    found: dict[int, _Evaluations] = {}
    for number, (_, place) in enumerate(given):
        path = Path(place).expanduser()
        if path.suffix in _SUFFIXES and not path.is_dir():
            if path.is_file():
                texts[number] = path
            else:
                problems.append(Problem("there is no such file", place))
            continue
        evaluations = _evaluations(place)
        if evaluations:
            found[number] = evaluations
        else:
            ways = " or ".join(f"align eval {name} generate {place}" for name in _USUAL)
            problems.append(Problem("there are no stored answers of it", place, hint=f"{ways} makes some"))
    if problems:
        raise UsageError("not all of these have answers", problems=problems, hint=_near())
    if known and not texts:
        raise UsageError(
            "--questions is for files of answers that name questions by id: evaluations know their own questions",
            hint="leave it out",
        )
    chosen = _chosen(benchmark, [(given[number][1], evaluations) for number, evaluations in found.items()])
    # A list for each: folders may have other words under the same ids.
    asked = {one.path: questions_of([one], registered.named(one.benchmark), files) for one in chosen}
    meant = dict(zip(found, chosen, strict=True))
    return [
        reading.of_file(texts[number], known, name)
        if number in texts
        else reading.of_evaluation(meant[number], asked[meant[number].path], name)
        for number, (name, _) in enumerate(given)
    ]


def _chosen(wanted: str | None, found: Sequence[tuple[str, _Evaluations]]) -> list[Evaluation]:
    """The evaluation of each place, all of the same questions.

    Raises:
        UsageError: there is none in a place, or it is not clear which.
    """
    if not found:
        return []
    benchmark = _benchmark(wanted, found)
    chosen, problems = [], []
    for place, evaluations in found:
        here = next(evaluations[name] for name in _alike(benchmark) if name in evaluations)
        chosen.append(here[0])
        if len(here) > 1:
            those = ", ".join(str(one.path) for one in here[:4]) + (" …" if len(here) > 4 else "")
            problems.append(Problem(f"there are {len(here)} evaluations: {those}", place, hint="name one of them"))
    if problems:
        raise UsageError(f"it is not clear which {benchmark} answers are meant", problems=problems)
    return chosen


def _benchmark(wanted: str | None, found: Sequence[tuple[str, _Evaluations]]) -> str:
    """The one whose answers are compared; one that asks the same questions stands for another.

    Raises:
        UsageError: there is not exactly one.
    """
    if wanted is not None:
        registered.named(wanted)
        lacking = [place for place, evaluations in found if not _has(evaluations, wanted)]
        if lacking:
            raise UsageError(
                f"{', '.join(lacking)}: there are no {wanted} answers of it",
                hint=f"align eval {wanted} generate {lacking[0]} makes them",
            )
        return wanted
    every = {name for _, evaluations in found for name in evaluations}
    shared = sorted(name for name in every if all(_has(evaluations, name) for _, evaluations in found))
    different = [name for place, name in enumerate(shared) if not {*_alike(name)} & {*shared[:place]}]
    if len(different) == 1:
        return different[0]
    if different:
        raise UsageError(
            f"these models have answers to several benchmarks, {' and '.join(different)}: which are to be voted on?",
            hint=" or ".join(f"--benchmark {name}" for name in different),
        )
    problems = [Problem(f"answers to {', '.join(sorted(evaluations))}", place) for place, evaluations in found]
    first = sorted(found[0][1])[0]
    without = next(place for place, evaluations in found if not _has(evaluations, first))
    raise UsageError(
        "the models have no benchmark in common",
        problems=problems,
        hint=f"align eval {first} generate {without} makes answers that can be compared",
    )


def _has(evaluations: _Evaluations, benchmark: str) -> bool:
    return any(name in evaluations for name in _alike(benchmark))


def _alike(benchmark: str) -> tuple[str, ...]:
    """The benchmark, and those that ask the same questions. One whose plugin is gone has none beside it."""
    with suppress(AlignError):
        return (benchmark, *registered.named(benchmark).same_questions)
    return (benchmark,)


def _evaluations(word: str) -> _Evaluations:
    """Every evaluation that a word may mean, by benchmark: its own folder, its run's, or those of the model here."""
    place = Path(word).expanduser()
    here = [place] if (place / folder.FACTS).is_file() else []
    below = [place / places.EVALS, place, Path(places.EVALS) / folder.slug(places.short_name(word))]
    for root in below:
        here = here or [one.parent for one in sorted(root.glob(f"*/{folder.FACTS}"))]
    found: dict[str, list[Evaluation]] = {}
    for path in here:
        evaluation = Evaluation(path)
        found.setdefault(evaluation.benchmark, []).append(evaluation)
    return found


def _near() -> str:
    known: list[Path] = sorted(Path(places.EVALS).glob(f"*/*/{folder.FACTS}"))
    shown = ", ".join(str(path.parent) for path in known[:5])
    return f"there are {shown}{' …' if len(known) > 5 else ''}" if known else ""
