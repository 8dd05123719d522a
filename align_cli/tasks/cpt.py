"""Continued pretraining: recipes are checked and planned; training is not part of this version."""

from __future__ import annotations

from align_cli.tasks.task import Task

TASK = Task(
    name="cpt",
    summary="Continued pretraining on plain text (checked and planned only)",
    rows=("text",),
    configs=(
        "trl.trainer.sft_config:SFTConfig",
        "trl.trainer.model_config:ModelConfig",
        "align_cli.recipe.schema:AlignFields",
    ),
)
