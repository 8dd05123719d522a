"""Kahneman-Tversky optimisation: a model learns from single answers, each judged good or bad.

Ethayarajh et al. 2024, arXiv:2402.01306. Pairs are taken as two judged answers each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from align_cli.errors import Problem
from align_cli.recipe.schema import Recipe
from align_cli.tasks import losses
from align_cli.tasks.task import Context, Result, RowKind, Task

if TYPE_CHECKING:
    import numpy as np

#: Most specific first: a source that fits two kinds is mapped to the first.
ROWS: tuple[RowKind, ...] = ("unpaired", "preference")
#: Eq. 8 of the paper: the weight of good answers times their number, over the same of bad ones, is best in here.
_BALANCE = (1.0, 4 / 3)
_SLACK = 0.1  # a few answers more or less are not worth a warning


def run(context: Context) -> Result:
    """Train in this process and leave model, metrics and checkpoints in the run directory."""
    from align_cli.tasks.training import answers
    from align_cli.tasks.training.run import Method, train

    method = Method(trainer=_trainer, config=_config, forced=answers.forced, parts=answers.parts)
    return train(context, method)


def check(recipe: Recipe) -> Iterator[Problem]:
    """What estimating the divergence asks of a batch."""
    yield from losses.check_reference(recipe)
    if "kto" not in losses.chosen(recipe):
        return
    if recipe.get("per_device_train_batch_size") == 1:
        said = "per_device_train_batch_size is 1: the divergence is estimated by exchanging the answers of a batch"
        hint = "per_device_train_batch_size: 2, or loss_type: apo_zero_unpaired"
        yield losses.problem(recipe, "per_device_train_batch_size", said, hint)
    order = recipe.get("train_sampling_strategy")
    if order != "sequential":
        said = f"train_sampling_strategy is {order}: the answers that a batch exchanges are known before training"
        hint = "remove it (the mixture is shuffled already), or loss_type: apo_zero_unpaired"
        yield losses.problem(recipe, "train_sampling_strategy", said, hint)


def balance(good: int, bad: int, *, desirable_weight: float, undesirable_weight: float) -> str:
    """What to say about answers of one kind that outweigh the other; empty when the weights fit (eq. 8)."""
    if not good or not bad:
        kind, does = ("good", "raises") if good else ("bad", "lowers")
        return f"all answers are {kind}: KTO then only {does} them against the reference, and contrasts nothing"
    ratio = (desirable_weight * good) / (undesirable_weight * bad)
    low, high = _BALANCE
    if low - _SLACK <= ratio <= high + _SLACK:
        return ""
    wanted = undesirable_weight * bad / good
    other = desirable_weight * good / bad
    if good < bad:
        advice = f"desirable_weight between {wanted * low:.2f} and {wanted * high:.2f}"
    else:
        advice = f"undesirable_weight between {other / high:.2f} and {other / low:.2f}"
    weights = f"weighed {desirable_weight:g} and {undesirable_weight:g}"
    return f"{good:,} good and {bad:,} bad answers, {weights}: try {advice}"


def _config() -> Any:
    from trl import KTOConfig

    return KTOConfig


def _trainer() -> Any:
    from trl import KTOTrainer

    from align_cli.tasks.training.answers import with_answers
    from align_cli.tasks.training.lean.laid import alone
    from align_cli.tasks.training.rows import beside, lengths, rotated

    class JudgedTrainer(with_answers(KTOTrainer, groups=alone)):  # type: ignore[misc]
        """TRL's loss on judged answers."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.reference_columns = ("ref_logps", "ref_KL_logps") if self.calculate_KL else ("ref_logps",)

        def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, name: str) -> Any:
            """Beside every answer the one before it in its batch, for the divergence (TRL 1.16)."""
            if not self.calculate_KL:
                return dataset
            size = args.per_device_train_batch_size
            return beside(dataset, {"KL_completion_ids": rotated(dataset, "completion_ids", size)})

        def begin(self, *, resumed: bool) -> None:
            import numpy as np

            labels = self.train_dataset.data.column("label").to_numpy()
            good = int(np.count_nonzero(labels))
            weights = {
                "desirable_weight": self.args.desirable_weight,
                "undesirable_weight": self.args.undesirable_weight,
            }
            self.told["answers"] = {"good": good, "bad": len(labels) - good}
            if said := balance(good, len(labels) - good, **weights):
                self.context.say(f"warning: {said}")
            super().begin(resumed=resumed)

        def reference_inputs(self) -> dict[str, Any]:
            # The divergence's answers are those of the batches that the rows form.
            return {"batch": self.args.per_device_train_batch_size} if self.calculate_KL else {}

        def lengths_of(self, dataset: Any) -> np.ndarray:
            total: np.ndarray = lengths(dataset, "prompt_ids") + lengths(dataset, "completion_ids")
            if self.calculate_KL:
                total += lengths(dataset, "prompt_ids") + lengths(dataset, "KL_completion_ids")
            return total

    return JudgedTrainer


TASK = Task(
    name="kto",
    summary="Kahneman-Tversky optimisation on single answers that are judged good or bad, or on pairs",
    rows=ROWS,
    configs=(
        "trl.trainer.kto_config:KTOConfig",
        "trl.trainer.model_config:ModelConfig",
        "align_cli.recipe.schema:AlignFields",
        "align_cli.recipe.schema:ReferenceFields",
    ),
    shape="judged",
    run=run,
    check=check,
    values=losses.values_of("kto"),
)
