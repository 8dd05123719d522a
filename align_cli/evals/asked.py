"""Which questions evaluations are of: the benchmark's, or a list that a folder brings with it."""

from __future__ import annotations

from collections.abc import Sequence

from align_cli.evals.benchmark import Assets, Benchmark, Question
from align_cli.evals.folder import Evaluation


def questions_of(evaluations: Sequence[Evaluation], benchmark: Benchmark, files: Assets) -> list[Question]:
    """All of them, once each; the benchmark's own are only read where some evaluation needs them.

    Raises:
        DataError: the benchmark's files cannot be had, or a folder's list is damaged.
    """
    own = [one.questions() for one in evaluations]
    found: list[Question] = list(benchmark.questions(files)) if None in own else []
    known = {question.id for question in found}
    for question in (question for its in own for question in its or ()):
        if question.id not in known:
            found.append(question)
            known.add(question.id)
    return found
