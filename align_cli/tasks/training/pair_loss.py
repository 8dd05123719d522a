"""Training on pairs with a loss of somebody's own: from log-probabilities of both answers, without a reference.

The rest of a preference run stays as it is: rows end to end with their prompt once, adapters, whole checkpoints, exact
resuming, metrics under TRL's names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from align_cli.recipe.schema import Recipe
from align_cli.tasks.task import Context, Result

if TYPE_CHECKING:
    from torch import Tensor

#: Fields of TRL's DPOConfig that speak of its own losses and of the reference model.
_OF_DPO_ONLY = (
    "beta discopop_tau f_alpha_divergence_coef f_divergence_type label_smoothing label_smoothing_factor ld_alpha "
    "loss_type loss_weights padding_free precompute_ref_batch_size precompute_ref_log_probs ref_model_mixup_alpha "
    "ref_model_sync_steps sync_ref_model use_weighting"
)
#: `Task.configs` of a task that trains by `train_on_pairs`; its own dataclass goes before these.
PAIR_CONFIGS = (
    f"trl.trainer.dpo_config:DPOConfig without {_OF_DPO_ONLY}",
    "trl.trainer.model_config:ModelConfig",
    "align_cli.recipe.schema:AlignFields",
)


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a batch of pairs under the model in training. A pair's answers share an index."""

    chosen: Tensor
    """(pairs,) float32: log-probability of the chosen answer given its prompt, summed over its tokens."""
    rejected: Tensor
    """The same of the rejected answer."""
    chosen_tokens: Tensor
    """(pairs,) int64, at least 1: tokens of the chosen answer."""
    rejected_tokens: Tensor
    """The same of the rejected answer."""


@dataclass(frozen=True, slots=True)
class PairLosses:
    """What a loss makes of a batch of pairs; every tensor is (pairs,)."""

    losses: Tensor
    """Their mean is minimised."""
    chosen_rewards: Tensor
    """What the loss takes for the worth of the chosen answers; logged, as is how often they win."""
    rejected_rewards: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    """More to log: the mean of each, under its name."""


PairLoss = Callable[[Answers, Recipe], PairLosses]


def train_on_pairs(context: Context, loss: PairLoss) -> Result:
    """Do the work of a task whose shape is "pairs", with this loss; `Task.run` is `partial(train_on_pairs, loss=…)`.

    Raises:
        TrainingError: the work failed; the last whole checkpoint stays.
        Interrupted: somebody asked to stop; a checkpoint was saved.
    """
    from align_cli.tasks.training.run import Method, train

    # Nothing is computed beforehand; the word keeps upstream from loading a reference model.
    method = Method(
        trainer=lambda: _trainer(loss), config=_config, forced=lambda recipe: {"precompute_ref_log_probs": True}
    )
    return train(context, method)


def _config() -> Any:
    from trl import DPOConfig

    return DPOConfig


def _trainer(loss: PairLoss) -> Any:
    from trl import DPOTrainer

    from align_cli.tasks.training.answers import with_answers
    from align_cli.tasks.training.lean.laid import pairs

    class PairLossTrainer(with_answers(DPOTrainer, groups=pairs)):  # type: ignore[misc]
        """TRL's trainer on pairs up to the loss."""

        def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
            ids, mask, answer = inputs["input_ids"], inputs["attention_mask"], inputs["completion_mask"]
            made = self.in_place_of(model)(
                input_ids=ids,
                attention_mask=mask,
                labels=ids.masked_fill(answer == 0, -100),
                use_cache=False,
                fused_lm_head=True,
                **({"output_router_logits": True} if self.aux_loss_enabled else {}),
            )
            answers = _answers(made.log_probs, answer[:, 1:])
            found = loss(answers, self.context.recipe)
            total = found.losses.mean()
            self._note("logps/chosen", answers.chosen)
            self._note("logps/rejected", answers.rejected)
            self._note("rewards/chosen", found.chosen_rewards)
            self._note("rewards/rejected", found.rejected_rewards)
            self._note("rewards/accuracies", found.chosen_rewards > found.rejected_rewards)
            self._note("rewards/margins", found.chosen_rewards - found.rejected_rewards)
            for name, values in found.metrics.items():
                self._note(name, values)
            if self.aux_loss_enabled:
                total = total + self.router_aux_loss_coef * made.aux_loss
                self._note("aux_loss", made.aux_loss)
            self._count(mask.sum())
            return (total, {"loss": total}) if return_outputs else total

        @property
        def _mode(self) -> str:
            return "train" if self.model.training else "eval"

        def _note(self, name: str, values: Any) -> None:
            """Let the mean over all processes be logged."""
            everywhere = self.accelerator.gather_for_metrics(values.detach().float())
            self._metrics[self._mode][name].append(everywhere.mean().item())

        def _count(self, tokens: Any) -> None:
            if self.model.training:
                self._total_train_tokens += int(self.accelerator.gather_for_metrics(tokens).sum())
            self._metrics[self._mode]["num_tokens"] = [self._total_train_tokens]

    return PairLossTrainer


def _answers(log_probs: Tensor, answer: Tensor) -> Answers:
    """Sums over the answers' tokens. Both (2 * pairs, width): log-probabilities, and which are an answer's."""
    answer = answer.to(log_probs.device)
    # A prompt-learning adapter puts tokens of its own before the row.
    sums = (log_probs[:, -answer.shape[1] :] * answer).float().sum(dim=1)
    chosen, rejected = sums.chunk(2)
    chosen_tokens, rejected_tokens = answer.sum(dim=1).chunk(2)
    return Answers(chosen, rejected, chosen_tokens, rejected_tokens)
