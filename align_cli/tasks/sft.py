"""Supervised fine-tuning: a base or chat model learns from conversations, prompts with completions, or plain text."""

from __future__ import annotations

from align_cli.tasks.task import Context, Result, RowKind, Task

#: Most specific first: a source that fits two kinds is mapped to the first.
ROWS: tuple[RowKind, ...] = ("messages", "prompt_completion", "text")


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
    run=run,
)
