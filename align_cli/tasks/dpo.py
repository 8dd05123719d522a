"""Direct preference optimisation: a model learns to prefer the chosen answer to the rejected one.

Rafailov et al. 2023, arXiv:2305.18290, and the losses that followed; `losses.toml` has a line on each.
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
    from torch import Tensor

ROWS: tuple[RowKind, ...] = ("preference",)
_PAIRED_KTO = "kto_pair"


def run(context: Context) -> Result:
    """Train in this process and leave model, metrics and checkpoints in the run directory."""
    from align_cli.tasks.training import answers
    from align_cli.tasks.training.run import Method, train

    method = Method(trainer=_trainer, config=_config, forced=answers.forced, parts=answers.parts)
    return train(context, method)


def check(recipe: Recipe) -> Iterator[Problem]:
    """Losses that cannot be combined with each other or with other keys."""
    yield from losses.check_reference(recipe)
    chosen = losses.chosen(recipe)
    smoothing = recipe.get("label_smoothing") or 0.0
    if "exo_pair" in chosen and not smoothing:
        key = "label_smoothing" if "label_smoothing" in recipe.values else "loss_type"
        said = f"label_smoothing is {smoothing:g}, and loss_type exo_pair needs it above 0"
        yield losses.problem(recipe, key, said, "label_smoothing: 0.001")
    if "robust" in chosen and smoothing >= 0.5:
        said = f"label_smoothing is {smoothing}: loss_type robust takes it for the share of wrong labels, below 0.5"
        yield losses.problem(recipe, "label_smoothing", said, "label_smoothing: 0.1")
    if recipe.get("use_weighting") and (sorting := {"aot", "aot_unpaired", _PAIRED_KTO} & set(chosen)):
        said = f"use_weighting weighs pairs, which loss_type {min(sorting)} does not keep together"
        yield losses.problem(recipe, "use_weighting", said, "use_weighting: false")
    divergence = recipe.get("f_divergence_type")
    if divergence not in (None, "reverse_kl") and (others := set(chosen) - losses.WITH_F_DIVERGENCE):
        said = f"f_divergence_type {divergence} has no meaning for loss_type {min(others)}"
        yield losses.problem(recipe, "f_divergence_type", said, "f_divergence_type: reverse_kl")
    if _PAIRED_KTO in chosen:
        for key in ("ld_alpha", "sync_ref_model"):
            if recipe.get(key):
                yield losses.problem(recipe, key, f"{key} has no meaning for loss_type {_PAIRED_KTO}", f"remove {key}")


def paired_kto(chosen: Tensor, rejected: Tensor, beta: float) -> Tensor:
    """The KTO loss of trl up to 0.8 for as many good answers as bad ones: (2 * batch,), good ones first.

    `chosen` and `rejected` (batch,) are log-ratios of policy and reference. Each half's Kullback-Leibler term is
    estimated on the other half: Ethayarajh et al. 2024, arXiv:2402.01306, eq. 7, z0 = max(0, mean log-ratio).
    """
    import torch

    good, bad = chosen.mean().clamp(min=0), rejected.mean().clamp(min=0)
    return torch.cat((1 - torch.sigmoid(beta * (chosen - bad)), 1 - torch.sigmoid(beta * (good - rejected))))


def _config() -> Any:
    from trl import DPOConfig

    return DPOConfig


def _trainer() -> Any:
    from trl import DPOTrainer

    from align_cli.tasks.training.answers import with_answers
    from align_cli.tasks.training.lean.laid import pairs

    class PreferenceTrainer(with_answers(DPOTrainer, groups=pairs)):  # type: ignore[misc]
        """TRL's loss on pairs, with the paired KTO loss that it no longer has."""

        loss_types: list[str]
        loss_weights: list[float]
        reference_columns = ("ref_chosen_logps", "ref_rejected_logps")

        def reference_inputs(self) -> dict[str, Any]:
            return {} if self.args.ld_alpha is None else {"ld_alpha": self.args.ld_alpha}

        def lengths_of(self, dataset: Any) -> np.ndarray:
            from align_cli.tasks.training.rows import lengths

            prompt, chosen, rejected = (lengths(dataset, f"{name}_ids") for name in ("prompt", "chosen", "rejected"))
            both: np.ndarray = 2 * prompt + chosen + rejected
            return both

        def in_place_of(self, model: Any) -> Any:
            self.remembering = _Remembering(super().in_place_of(model))
            return self.remembering

        def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
            if _PAIRED_KTO not in self.loss_types:
                return super()._compute_loss(model, inputs, return_outputs)
            before = self.loss_types, self.loss_weights
            weighted = list(zip(*before, strict=True))
            self.loss_types = [name for name, _ in weighted if name != _PAIRED_KTO]
            self.loss_weights = [weight for name, weight in weighted if name != _PAIRED_KTO]
            try:
                found = super()._compute_loss(model, inputs, return_outputs)
            finally:
                self.loss_types, self.loss_weights = before
            chosen, rejected = self.remembering.log_probs.sum(dim=1).chunk(2)
            ratios = chosen - inputs["ref_chosen_logps"], rejected - inputs["ref_rejected_logps"]
            weight = sum(weight for name, weight in weighted if name == _PAIRED_KTO)
            extra = weight * paired_kto(*ratios, self.beta).mean()
            return (found[0] + extra, found[1]) if return_outputs else found + extra

    return PreferenceTrainer


class _Remembering:
    """Calls a model and keeps the log-probabilities of its last answer."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.log_probs: Any = None

    def __call__(self, **given: Any) -> Any:
        made = self.model(**given)
        self.log_probs = getattr(made, "log_probs", self.log_probs)
        return made


TASK = Task(
    name="dpo",
    summary="Direct preference optimisation and its relatives, on chosen and rejected answers",
    rows=ROWS,
    configs=(
        "trl.trainer.dpo_config:DPOConfig",
        "trl.trainer.model_config:ModelConfig",
        "align_cli.recipe.schema:AlignFields",
        "align_cli.recipe.schema:ReferenceFields",
    ),
    shape="pairs",
    run=run,
    check=check,
    values=losses.values_of("dpo"),
)
