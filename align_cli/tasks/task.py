"""The value that a task is, and what it is given and gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from align_cli.errors import Problem
from align_cli.recipe.schema import Recipe

#: What a trainer reads: sequences with labels; pairs of answers to one prompt; single answers with a label; or whole
#: conversations of which one is to score higher.
Shape = Literal["sequences", "pairs", "judged", "scored"]
RowKind = Literal["text", "messages", "prompt_completion", "preference", "unpaired", "prompt"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One moment of a run, as the display and the metrics file see it."""

    step: int
    num_steps: int
    epoch: float
    metrics: Mapping[str, float]
    """What the trainer logged at this step (loss, learning_rate, …); empty between two logs."""
    tokens: int
    """Tokens trained on so far."""
    tokens_per_second: float
    """Over the time trained in this process."""
    seconds_left: float | None
    """None until one step is done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """Everything a task needs to run: nothing is read from argv, the recipe file or the environment again."""

    recipe: Recipe
    run_dir: Path
    data: Path | None
    """The store folder that the task's `prepare` returned."""
    model: Path
    """Local folder of the model to start from."""
    strategy: str = "single"
    """What each process holds: `single`, `ddp`, `fsdp`, `zero1`, `zero2` or `zero3`."""
    offload: str = "none"
    """What lies in main memory instead of the GPU's: `none`, `optimizer` or `all`."""
    on_progress: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = lambda line: None
    """One line for a person (stderr)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a task leaves behind: final metrics and facts for the manifest."""

    metrics: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: parameters trained and total, dtypes, steps, tokens …"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """Rows turned into what the trainer eats, in the store, and the report about it."""

    folder: Path
    digest: str
    num_train: int
    num_eval: int
    report: Mapping[str, Any]
    """JSON-able; shown before the first step and kept in the manifest."""
    from_store: bool
    """True when nothing had to be built."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One task. Plugins register a value of this type under the entry point group `align.tasks`."""

    name: str
    summary: str
    rows: tuple[RowKind, ...]
    """Row kinds it trains on, most specific first; the mixing layer maps layouts to one of them."""
    configs: tuple[str, ...]
    """`module:Class` of the dataclasses whose fields are the recipe's keys, first wins; read statically."""
    run: Callable[[Context], Result]
    """The work itself, in each worker."""
    shape: Shape = "sequences"
    """What the rows become before the work."""
    prepare: Callable[..., Prepared] | None = None
    """Another way of preparing, `prepare(recipe, model_folder, say=…) -> Prepared`, in the parent, without torch."""
    check: Callable[[Recipe], Iterable[Problem]] = lambda recipe: ()
    """Rules across keys that only this task knows."""
    values: Callable[[str], Mapping[str, str]] = lambda key: {}
    """What the values of a key mean, a line each; shown by `align task show TASK KEY`."""
