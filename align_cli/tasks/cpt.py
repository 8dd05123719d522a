"""Continued pretraining: a model learns from plain text, packed into sequences of one length."""

from __future__ import annotations

from align_cli.tasks.task import Context, Result, RowKind, Task

ROWS: tuple[RowKind, ...] = ("text",)


def run(context: Context) -> Result:
    """Train in this process and leave model, metrics and checkpoints in the run directory."""
    from align_cli.tasks.training import sequences

    return sequences.run(context)


TASK = Task(
    name="cpt",
    summary="Continued pretraining on plain text",
    rows=ROWS,
    configs=(
        "trl.trainer.sft_config:SFTConfig",
        "trl.trainer.model_config:ModelConfig",
        "align_cli.recipe.schema:AlignFields",
    ),
    run=run,
)
