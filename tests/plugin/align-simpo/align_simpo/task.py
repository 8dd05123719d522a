"""Simple preference optimisation: the chosen answer must be likelier, token for token, by a margin.

Meng, Xia, Chen 2024, arXiv:2405.14734.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from align_cli.plugins import (
    PAIR_CONFIGS,
    Answers,
    PairLosses,
    Problem,
    Recipe,
    Task,
    problem,
    train_on_pairs,
)


@dataclass
class SimPOFields:
    """Keys of a recipe that only this task has. Defaults are literals: they are read, not run."""

    beta: float = 2.0
    """Scale of the rewards; the paper takes 2 to 10, much more than DPO does."""
    simpo_gamma: float = 1.0
    """Margin by which the chosen answer's reward must exceed the rejected one's; the paper takes beta / 4 to beta."""
    loss_type: Literal["sigmoid", "hinge"] = "sigmoid"
    """What a pair costs that is short of the margin."""


def loss(answers: Answers, recipe: Recipe) -> PairLosses:
    """Eq. 6: -log sigmoid(r_w - r_l - gamma) with r = beta * mean log-probability of the answer's tokens."""
    from torch.nn.functional import logsigmoid

    beta, gamma = recipe.get("beta"), recipe.get("simpo_gamma")
    chosen = beta * answers.chosen / answers.chosen_tokens
    rejected = beta * answers.rejected / answers.rejected_tokens
    ahead = chosen - rejected - gamma
    losses = (-ahead).clamp(min=0) if recipe.get("loss_type") == "hinge" else -logsigmoid(ahead)
    return PairLosses(losses, chosen, rejected, metrics={"simpo/beyond_margin": ahead > 0})


def check(recipe: Recipe) -> Iterator[Problem]:
    """A margin that rewards can reach."""
    beta, gamma = recipe.get("beta"), recipe.get("simpo_gamma")
    if gamma < 0:
        said = f"simpo_gamma is {gamma}: a negative margin rewards the rejected answer"
        yield problem(recipe, "simpo_gamma", said, "simpo_gamma: 0, or more")
    elif 0 < 2 * beta < gamma:
        said = f"simpo_gamma ({gamma}) is more than twice beta ({beta}): rewards hardly get that far apart"
        yield problem(recipe, "simpo_gamma", said, f"simpo_gamma: {beta / 2:g}")


def values(key: str) -> Mapping[str, str]:
    """What the values of a key mean, a line each, for `align task show simpo KEY`."""
    if key != "loss_type":
        return {}
    return {
        "sigmoid": "the paper's: a pair always costs something, less the further it is beyond the margin",
        "hinge": "a pair beyond the margin costs nothing",
    }


TASK = Task(
    name="simpo",
    summary="Simple preference optimisation on chosen and rejected answers, without a reference model",
    rows=("preference",),
    shape="pairs",
    configs=("align_simpo.task:SimPOFields", *PAIR_CONFIGS),
    run=partial(train_on_pairs, loss=loss),
    check=check,
    values=values,
)
