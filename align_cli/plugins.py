"""Everything that a task or a benchmark in a package of its own imports from `align`.

Register a `Task` in the entry point group `align.tasks`; `align task new NAME` writes such a package, and
docs/how-to/add-a-task.md walks through one. Register a `Benchmark` in `align.benchmarks`; see
docs/how-to/add-a-benchmark.md. The module costs no import of torch, so a plugin may take all of it at the
top of its file.

The promise: a name here does not change before a release has gone out in which the old way still works and the
changelog says what to write instead. Anything else in `align_cli` may move at any time.
"""

from __future__ import annotations

from align_cli.errors import Problem, TrainingError
from align_cli.evals.benchmark import Answer, Ask, Assets, Benchmark, Judging, Question, Reference, Verdict
from align_cli.recipe.schema import Recipe
from align_cli.tasks.losses import problem
from align_cli.tasks.task import Context, Prepared, Progress, Result, RowKind, Shape, Task
from align_cli.tasks.training.pair_loss import PAIR_CONFIGS, Answers, PairLoss, PairLosses, train_on_pairs
from align_cli.tasks.training.token_loss import SEQUENCE_CONFIGS, TokenLoss, train_on_sequences

__all__ = [
    "PAIR_CONFIGS",
    "SEQUENCE_CONFIGS",
    "Answer",
    "Answers",
    "Ask",
    "Assets",
    "Benchmark",
    "Context",
    "Judging",
    "PairLoss",
    "PairLosses",
    "Prepared",
    "Problem",
    "Progress",
    "Question",
    "Recipe",
    "Reference",
    "Result",
    "RowKind",
    "Shape",
    "Task",
    "TokenLoss",
    "TrainingError",
    "Verdict",
    "problem",
    "train_on_pairs",
    "train_on_sequences",
]
