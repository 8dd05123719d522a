"""Training on sequences with a loss of somebody's own for each token, in place of its negative log-likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from align_cli.recipe.schema import Recipe
from align_cli.tasks.task import Context, Result

if TYPE_CHECKING:
    from torch import Tensor

#: `Task.configs` of a task that trains by `train_on_sequences`; its own dataclass goes before these.
SEQUENCE_CONFIGS = (
    "trl.trainer.sft_config:SFTConfig without label_smoothing_factor loss_type",
    "trl.trainer.model_config:ModelConfig",
    "align_cli.recipe.schema:AlignFields",
)

TokenLoss = Callable[["Tensor", Recipe], "Tensor"]
"""(tokens,) float32 log-probabilities of the tokens in the loss -> (tokens,) the loss of each."""


def train_on_sequences(context: Context, loss: TokenLoss) -> Result:
    """Do the work of a task whose shape is "sequences", with this loss; `Task.run` is `partial(train_on_sequences, …)`.

    The step's loss is the sum over all its tokens in the loss, divided by their number, as in `sft`.

    Raises:
        TrainingError: the work failed; the last whole checkpoint stays.
        Interrupted: somebody asked to stop; a checkpoint was saved.
    """
    from align_cli.tasks.training.run import train
    from align_cli.tasks.training.sequences import METHOD

    return train(context, replace(METHOD, trainer=lambda: _trainer(loss)))


def _trainer(loss: TokenLoss) -> Any:
    from align_cli.tasks.training.sequences import METHOD

    class TokenLossTrainer(METHOD.trainer()):  # type: ignore[misc]
        """TRL's trainer on sequences, which is told another likelihood."""

        def compute_loss(self, model: Any, *args: Any, **kwargs: Any) -> Any:
            return super().compute_loss(_Telling(model, loss, self.context.recipe), *args, **kwargs)

    return TokenLossTrainer


class _Telling:
    """Calls a model and puts the negative loss of each token where upstream looks for its log-probability.

    TRL 1.16 minimises the sum of `-log_probs` over the tokens with a label (`SFTTrainer.compute_loss`).
    """

    def __init__(self, model: Any, loss: TokenLoss, recipe: Recipe) -> None:
        self.model, self.loss, self.recipe = model, loss, recipe

    def __call__(self, **given: Any) -> Any:
        made = self.model(**given)
        if given.get("fused_lm_head"):
            inside = made.label_mask
            losses = self.loss(made.log_probs[inside].float(), self.recipe)
            made.log_probs = made.log_probs.new_zeros(inside.shape).masked_scatter(inside, -losses)
        return made
