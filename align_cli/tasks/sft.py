"""Supervised fine-tuning: a base or chat model learns from conversations, prompts with completions, or plain text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from align_cli.recipe.schema import Recipe
from align_cli.tasks.task import Context, Prepared, Result, RowKind, Task

#: Most specific first: a source that fits two kinds is mapped to the first.
ROWS: tuple[RowKind, ...] = ("messages", "prompt_completion", "text")


def prepare(recipe: Recipe, model: Path, *, say: Callable[[str], None] = lambda line: None) -> Prepared:
    """Rows as token ids and labels in the store, made without torch."""
    from align_cli.tasks.preparing.tokens import prepare as prepare_tokens

    return prepare_tokens(recipe, model, kinds=ROWS, say=say)


def run(context: Context) -> Result:
    """Train in this process and leave model, metrics and checkpoints in the run directory."""
    from align_cli.tasks.training import sequences

    return sequences.run(context)


TASK = Task(
    name="sft",
    summary="Supervised fine-tuning on conversations, prompts with completions, or plain text",
    rows=ROWS,
    configs=(
        "trl.trainer.sft_config:SFTConfig",
        "trl.trainer.model_config:ModelConfig",
        "align_cli.recipe.schema:AlignFields",
    ),
    prepare=prepare,
    run=run,
)
