"""Odds-ratio preference optimisation: the chosen answer is learnt and preferred in one go, without a reference.

Hong, Lee, Thorne 2024, arXiv:2403.07691.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from align_cli.tasks.task import Context, Result, RowKind, Task

ROWS: tuple[RowKind, ...] = ("preference",)


def run(context: Context) -> Result:
    """Train in this process and leave model, metrics and checkpoints in the run directory."""
    from align_cli.tasks.training.run import Method, train

    # The collator wants columns that the model does not know.
    method = Method(trainer=_trainer, config=_config, forced=lambda recipe: {"remove_unused_columns": False})
    return train(context, method)


def _config() -> Any:
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # its warning is for who writes against its interface
    from trl.experimental.orpo import ORPOConfig

    return ORPOConfig


def _trainer() -> Any:
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.orpo import ORPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference
    from trl.trainer.utils import add_fused_lm_head

    from align_cli.models import attending
    from align_cli.tasks.training.lean import attention
    from align_cli.tasks.training.lean.laid import LaidEndToEnd, pairs
    from align_cli.tasks.training.trainer import extended, whole_model

    class OddsTrainer(extended(ORPOTrainer)):  # type: ignore[misc]
        """TRL's loss on pairs, from log-probabilities instead of the logits of the whole vocabulary."""

        laid = False

        def __init__(self, *args: Any, processing_class: Any, **kwargs: Any) -> None:
            pad = processing_class.pad_token_id
            collator = DataCollatorForPreference(pad_token_id=processing_class.eos_token_id if pad is None else pad)
            with _rows_as_they_are():
                super().__init__(*args, processing_class=processing_class, data_collator=collator, **kwargs)
            self.use_dpo_data_collator = True  # what ours gives serves as well: spare the warning
            add_fused_lm_head(whole_model(self.model), outputs=("log_probs", "mean_logits"))
            self._total_train_tokens = 0

        @property
        def _metrics(self) -> Any:
            """Where other trainers keep what the next log will average."""
            return self._stored_metrics

        def lighten(self) -> bool:
            model = whole_model(self.model)
            if self.aux_loss_enabled or not attending.suits(model):
                return False
            attention.switch_on(model)
            self.laid = True
            return True

        def concatenated_forward(self, model: Any, batch: Any) -> Any:
            """Mean log-probabilities and mean logits of both answers, and the loss of the chosen whole.

            As upstream: answers are averaged over their tokens, and the chosen one is learnt with its prompt.
            """
            ids, mask, answers = batch["input_ids"], batch["attention_mask"].bool(), batch["completion_mask"].bool()
            size = len(ids) // 2
            wanted = answers.clone()
            wanted[:size] = mask[:size]
            labels = ids.masked_fill(~wanted, -100)
            called = LaidEndToEnd(model, pairs) if self.laid else model
            extra = {"output_router_logits": True} if self.aux_loss_enabled else {}
            made = called(
                input_ids=ids, attention_mask=mask.long(), labels=labels, use_cache=False, fused_lm_head=True, **extra
            )
            if self.model.training:
                self._total_train_tokens += int(mask.sum())
            answers, mask = answers[:, 1:], mask[:size, 1:]
            counts = answers.sum(dim=1)
            log_probs = (made.log_probs * answers).sum(dim=1) / counts
            logits = (made.mean_logits * answers).sum(dim=1) / counts
            likelihood = -(made.log_probs[:size] * mask).sum() / mask.sum()
            found = (log_probs[:size], log_probs[size:], logits[:size], logits[size:], likelihood)
            return (*found, made.aux_loss) if self.aux_loss_enabled else found

    return OddsTrainer


@contextmanager
def _rows_as_they_are() -> Iterator[None]:
    """For the length of the block no data set is mapped: upstream's constructor would render and tokenise again."""
    from datasets import Dataset

    before = Dataset.map
    Dataset.map = lambda self, *args, **kwargs: self
    try:
        yield
    finally:
        Dataset.map = before


TASK = Task(
    name="orpo",
    summary="Odds-ratio preference optimisation on chosen and rejected answers, without a reference model",
    rows=ROWS,
    configs=(
        "trl.experimental.orpo.orpo_config:ORPOConfig",
        "trl.trainer.model_config:ModelConfig",
        "align_cli.recipe.schema:AlignFields",
    ),
    shape="pairs",
    run=run,
)
