"""What is looked at before and at the first step, so that a run which cannot work does not run for hours."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from align_cli.errors import TrainingError


def facts(model: Any, device: Any) -> dict[str, Any]:
    """Parameters trained and total, the dtypes they really have, and where: JSON-able, for the manifest.

    Raises:
        TrainingError: nothing would be trained.
    """
    trained, total = 0, 0
    dtypes: Counter[str] = Counter()
    trained_dtypes: Counter[str] = Counter()
    for parameter in model.parameters():
        count = getattr(parameter, "ds_numel", parameter.numel())  # ZeRO-3 leaves an empty one in its place
        dtype = str(parameter.dtype).removeprefix("torch.")
        total += count
        dtypes[dtype] += count
        if parameter.requires_grad:
            trained += count
            trained_dtypes[dtype] += count
    if not trained:
        raise TrainingError(
            "no parameter of the model would be trained", hint="see use_peft and lora_target_modules in the recipe"
        )
    return {
        "parameters": {"trained": trained, "total": total},
        "dtypes": dict(dtypes),
        "trained_dtypes": dict(trained_dtypes),
        "device": str(device),
    }


def sentence(found: dict[str, Any]) -> str:
    """The same for a person."""
    trained, total = found["parameters"]["trained"], found["parameters"]["total"]
    share = "all" if trained == total else f"{trained:,} ({trained / total:.2%})"
    dtypes = " + ".join(found["dtypes"])
    if set(found["trained_dtypes"]) != set(found["dtypes"]):
        dtypes += f" (trained: {' + '.join(found['trained_dtypes'])})"
    return f"model: {total:,} parameters, {share} trained, {dtypes}, on {found['device']}"


class LossWatch:
    """Stops a run at the first loss that is not a number; upstream would smooth it away in its logs."""

    def __init__(self) -> None:
        self._seen = False

    def look(self, loss: float, step: int) -> None:
        """`loss` of one batch, `step` the optimiser steps done before it.

        Raises:
            TrainingError: the loss is not finite, or the very first is exactly zero.
        """
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} in step {step + 1}; nothing was saved after that",
                hint="lower learning_rate or max_grad_norm, use bf16 instead of fp16, or look at the rows of this step",
            )
        if not self._seen and loss == 0.0:
            raise TrainingError(
                "the loss of the first batch is exactly 0: the model would learn nothing",
                hint="half precision (fp16) often underflows: use bf16 or float32; else look at the loss mask",
            )
        self._seen = True


def demand_room(folder: Path, model: Any) -> None:
    """Raise before the work when the disk could not even hold the finished model."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    needed = sum(getattr(p, "ds_numel", p.numel()) * p.element_size() for p in trained)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise TrainingError(
            f"the disk of {folder} has {free / 1e9:.1f} GB left, and the model alone needs {needed / 1e9:.1f} GB",
            hint="free some space, or choose an output_dir on another disk",
        )


#: Nats a token by which policy and reference may differ before the first step, by precision of the arithmetic.
_DRIFT = {"no": 1e-4, "bfloat16": 2e-2, "float16": 2e-2}
_LN2_SLACK = 1e-3


def look_at_first_rewards(trainer: Any, loss: float, inputs: Any) -> None:
    """Before the first step policy and reference are one model: rewards are 0, and DPO's sigmoid loss is ln 2.

    Rafailov et al. 2023, eq. 7 with equal policies. A run where that fails trains against another model than it says;
    it goes on, but it says so. What was seen goes into the manifest.
    """
    separate = trainer.told.get("reference", {}).get("separate", True)
    if trainer.resumed or trainer.state.global_step or separate:
        return
    logged = trainer._metrics["train"]
    rewards = [logged[f"rewards/{side}"][-1] for side in ("chosen", "rejected") if logged.get(f"rewards/{side}")]
    if not rewards:
        return
    tokens = max(float(inputs["completion_mask"].sum()) / len(inputs["completion_mask"]), 1.0)
    drift = max(map(abs, rewards)) / trainer.beta / tokens
    trainer.told["first_step"] = {"loss": loss, "rewards": rewards, "drift_per_token": drift}
    mixed = "bfloat16" if trainer.args.bf16 else "float16" if trainer.args.fp16 else "no"
    if "16" in str(trainer.model.dtype):
        mixed = "bfloat16"
    slack = _DRIFT[mixed]
    plain = getattr(trainer, "loss_types", None) == ["sigmoid"] and trainer.loss_weights == [1.0]
    plain = plain and not trainer.use_weighting
    expected = abs(loss - math.log(2)) <= _LN2_SLACK + slack * tokens * trainer.beta
    if drift <= slack and (expected or not plain):
        return
    wrong = f"loss {loss:.4f} instead of ln 2 = 0.6931, " if plain else ""
    shown = " and ".join(f"{reward:.4f}" for reward in rewards)
    trainer.context.say(
        f"warning: policy and reference differ before the first step ({wrong}rewards {shown} instead of 0). "
        "Usual causes: dropout is on (disable_dropout: false), an adapter does not begin at zero, the reference was "
        "computed in another precision, or its stored values are not of this model (ALIGN_CACHE=FOLDER computes anew)"
    )
