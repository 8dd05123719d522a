"""Odds-ratio preference optimisation: recipes are checked and planned; training is not part of this version."""

from __future__ import annotations

from align_cli.tasks.task import Task

TASK = Task(
    name="orpo",
    summary="Odds-ratio preference optimisation on chosen and rejected answers (checked and planned only)",
    rows=("preference",),
    configs=(
        "trl.experimental.orpo.orpo_config:ORPOConfig",
        "trl.trainer.model_config:ModelConfig",
        "align_cli.recipe.schema:AlignFields",
    ),
)
