"""`--reference`: a benchmark's own set of reference answers, or a file or run of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from align_cli.cli.evals import places
from align_cli.errors import UsageError
from align_cli.evals.benchmark import Benchmark, Reference

_SUFFIXES = (".json", ".jsonl")


def references_of(benchmark: Benchmark, word: str | None, judged: Sequence[str]) -> tuple[str, Reference | None]:
    """The name of what is meant, and the answers where they are the user's own; an empty name is the usual set.

    `judged` are the words for what is judged: a reference that was shown before is kept with it.

    Raises:
        UsageError: there is nothing of that name.
        DataError: the file is damaged.
    """
    if word is None or word in benchmark.references:
        return word or "", None
    if not word.strip():
        raise UsageError("--reference is empty", hint="leave it out for the benchmark's own")
    known = ", ".join(benchmark.references) or "none"
    if benchmark.own_reference is None:
        raise UsageError(f'{benchmark.name} has no references "{word}"', hint=f"there are: {known}")
    place = Path(word).expanduser()
    if place.suffix in _SUFFIXES and not place.is_dir():
        if not place.is_file():
            raise UsageError(f"--reference {word}: there is no such file", hint=f"sets that are known: {known}")
        found = benchmark.own_reference(place)
    else:
        found = _kept(benchmark, word, judged) or _of_run(benchmark, word, known)
    if found.name in benchmark.references:
        raise UsageError(
            f'--reference {word}: its outputs are called "{found.name}", as the benchmark\'s own are',
            hint=f"--reference {found.name} means the benchmark's; give yours another generator",
        )
    return found.name, found


def _kept(benchmark: Benchmark, name: str, judged: Sequence[str]) -> Reference | None:
    """Reference answers of that name, as an evaluation that is to be judged has kept them."""
    for word in judged:
        with suppress(UsageError):  # it is not answered yet
            if found := places.existing(word, benchmark.name).reference(name):
                return found
    return None


def _of_run(benchmark: Benchmark, word: str, known: str) -> Reference:
    try:
        evaluation = places.existing(word, benchmark.name)
    except UsageError as error:
        hint = f"a set ({known}), a file of outputs (.json, .jsonl), or a model that is answered: {error.hint}"
        raise UsageError(f"--reference {word}: {error.message}", hint=hint) from None
    answers = {
        question: tuple(turn.text for turn in turns)
        for question, turns in evaluation.answers().items()
        if all(turn.is_one for turn in turns)
    }
    if not answers:
        raise UsageError(f"--reference {word}: {evaluation.path} has no answers yet")
    return Reference(name=evaluation.model, answers=answers)
