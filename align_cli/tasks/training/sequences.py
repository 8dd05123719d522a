"""Training on sequences with labels: TRL's `SFTTrainer` on rows that are tokens already."""

from __future__ import annotations

import dataclasses
from typing import Any

from align_cli.models import attending
from align_cli.tasks.task import Context, Result
from align_cli.tasks.training.lean import attention
from align_cli.tasks.training.run import Method, train
from align_cli.tasks.training.trainer import extended, whole_model


def run(context: Context) -> Result:
    """Train in this process and leave model, metrics and checkpoints in the run directory."""
    return train(context, METHOD)


def _config() -> Any:
    from trl import SFTConfig

    return SFTConfig


def _trainer() -> type:
    from trl import SFTTrainer

    class SequenceTrainer(extended(SFTTrainer)):  # type: ignore[misc]
        """On a CPU, rows are laid end to end; packed ones, document by document."""

        data_collator: Any

        def lighten(self) -> bool:
            model = whole_model(self.model)
            separate = not self.args.packing or self.padding_free  # wrapped packs are one row each, and stay that
            if not separate or not attending.suits(model):
                return False
            attention.switch_on(model)
            self.data_collator.padding_free = True
            return True

        def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
            # Upstream weighs batches by their rows; batches laid end to end would all count as one row.
            training = self.data_collator
            if getattr(training, "padding_free", False) and not self.padding_free:
                self.data_collator = dataclasses.replace(training, padding_free=False)
            try:
                return super().get_eval_dataloader(eval_dataset)
            finally:
                self.data_collator = training

    return SequenceTrainer


METHOD = Method(
    trainer=_trainer,
    config=_config,
    forced=lambda recipe: {"dataset_kwargs": {"skip_prepare_dataset": True}},
)
