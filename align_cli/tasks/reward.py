"""Reward modelling: recipes are checked and planned; training is not part of this version."""

from __future__ import annotations

from align_cli.tasks.task import Task

TASK = Task(
    name="reward",
    summary="A reward model that scores chosen answers above rejected ones (checked and planned only)",
    rows=("preference",),
    configs=(
        "trl.trainer.reward_config:RewardConfig",
        "trl.trainer.model_config:ModelConfig",
        "align_cli.recipe.schema:AlignFields",
    ),
)
