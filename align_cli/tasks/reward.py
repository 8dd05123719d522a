"""Reward modelling: a model learns to give the chosen answer a higher score than the rejected one.

The Bradley-Terry model of a comparison, as in Ouyang et al. 2022, arXiv:2203.02155, eq. 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from align_cli.errors import Problem
from align_cli.recipe.schema import Recipe
from align_cli.tasks import losses
from align_cli.tasks.task import Context, Result, RowKind, Task

ROWS: tuple[RowKind, ...] = ("preference",)
_TASK_TYPE = "SEQ_CLS"  # peft trains and saves the score's layer with adapters of this kind


def run(context: Context) -> Result:
    """Train in this process and leave model, metrics and checkpoints in the run directory."""
    from align_cli.models import load
    from align_cli.tasks.training.run import Method, train

    method = Method(
        trainer=_trainer,
        config=_config,
        model=load.scorer,
        adapter=lambda recipe: load.adapter(recipe, task_type=_TASK_TYPE),
    )
    return train(context, method)


def check(recipe: Recipe) -> Iterator[Problem]:
    """Adapters that would leave the score's own layer untrained."""
    kind = recipe.values.get("lora_task_type", _TASK_TYPE)
    if recipe.get("use_peft") and kind != _TASK_TYPE:
        said = f"lora_task_type {kind} would leave out the score's own layer, which begins at random"
        yield losses.problem(recipe, "lora_task_type", said, f"remove it, or lora_task_type: {_TASK_TYPE}")
    if recipe.get("max_prompt_length") is not None:
        said = "max_prompt_length has no meaning here: a score is given to a whole answer, nothing is cut"
        yield losses.problem(recipe, "max_prompt_length", said, "remove it; max_length leaves longer rows out")


def _config() -> Any:
    from trl import RewardConfig

    return RewardConfig


def _trainer() -> Any:
    from trl import RewardTrainer

    from align_cli.tasks.training.trainer import extended

    class ScoreTrainer(extended(RewardTrainer)):  # type: ignore[misc]
        """TRL's loss on prepared rows."""

        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            """The rows as they are: they were prepared by the parent."""
            return dataset

    return ScoreTrainer


TASK = Task(
    name="reward",
    summary="Reward modelling: scores for answers, learnt from chosen and rejected ones",
    rows=ROWS,
    configs=(
        "trl.trainer.reward_config:RewardConfig",
        "trl.trainer.model_config:ModelConfig",
        "align_cli.recipe.schema:AlignFields",
    ),
    shape="scored",
    run=run,
    check=check,
)
