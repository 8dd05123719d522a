"""Kahneman-Tversky optimisation: recipes are checked and planned; training is not part of this version."""

from __future__ import annotations

from align_cli.tasks.task import Task

TASK = Task(
    name="kto",
    summary="Kahneman-Tversky optimisation on single answers judged good or bad (checked and planned only)",
    rows=("unpaired",),
    configs=(
        "trl.trainer.kto_config:KTOConfig",
        "trl.trainer.model_config:ModelConfig",
        "align_cli.recipe.schema:AlignFields",
    ),
)
