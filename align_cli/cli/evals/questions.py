"""What a model is asked: the benchmark's questions or the user's, and those of them that are answered already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.evals import answering
from align_cli.evals.answering import Manner
from align_cli.evals.benchmark import Benchmark, Question
from align_cli.evals.folder import ANSWERS, Evaluation, record_of
from align_cli.evals.records import Journal


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the model is asked."""

    questions: Sequence[Question]
    chosen: Sequence[Question]
    """Of them, those that are answered now."""
    own: Sequence[Question] | None
    """The user's questions, where they are not the benchmark's."""

    def facts(self, benchmark: Benchmark, model: Mapping[str, Any], manner: Manner) -> dict[str, Any]:
        """What `evaluation.json` says."""
        return answering.facts(benchmark, model, manner, self.questions, listed=self.own)


def own_questions(place: Path | None, benchmark: Benchmark) -> Sequence[Question] | None:
    """The user's, from a file; None where none is named.

    Raises:
        UsageError: there is no such file, or the benchmark has no use for one.
        DataError: the file is damaged.
    """
    if place is None:
        return None
    if benchmark.own_questions is None:
        raise UsageError(f"{benchmark.name} has no --questions: it always asks its own")
    if not place.is_file():
        raise UsageError(f"--questions {place}: there is no such file")
    return benchmark.own_questions(place)


def take_over(
    others: Sequence[Evaluation], evaluation: Evaluation, chosen: Sequence[Question], say: Callable[[str], None]
) -> None:
    """Copy answers that the same model, asked the same in the same manner, gave for another benchmark."""
    wanted = {question.id for question in chosen}
    for other in others:
        if not other.facts or not evaluation.is_made_as(other):
            continue
        journal = Journal(evaluation.path / ANSWERS)
        taken = 0
        for question, turns in other.answers().items():
            for record in (record_of(turn) for turn in turns if question in wanted and turn.state != "failed"):
                if record["key"] not in journal:
                    journal.add(record)
                    taken += 1
        journal.close()
        if taken:
            say(f"{taken} answers are taken over from {other.path}")
