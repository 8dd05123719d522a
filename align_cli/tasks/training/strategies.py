"""What each process holds, in the words of transformers' arguments: DeepSpeed's ZeRO, PyTorch's FSDP2, or all of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from align_cli.launch import ranks
from align_cli.recipe.schema import Recipe
from align_cli.tasks.training import zero

#: The processes have met: upstream's arguments take them as they are.
_AS_IT_IS = {"use_configured_state": True}


def sharded(strategy: str) -> bool:
    """Whether no process holds all of the weights."""
    return strategy in ("fsdp", "zero3")


def values(
    strategy: str, offload: str, recipe: Recipe, checkpoint: Path | None, say: Callable[[str], None]
) -> dict[str, Any]:
    """Values of `TrainingArguments` that the strategy needs, to go on from `checkpoint` if there is one.

    What the recipe itself says of it is left as it is.
    """
    chosen: dict[str, Any] = {}
    if strategy.startswith("zero"):
        given = _mapping(recipe.get("deepspeed")) or _zero(int(strategy[-1]), offload)
        chosen["deepspeed"] = {**given, **zero.fitted(checkpoint, say)}
    if strategy == "fsdp" and not recipe.get("fsdp"):
        chosen["fsdp"] = True
        chosen["fsdp_config"] = {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "reshard_after_forward": True,
            "state_dict_type": "FULL_STATE_DICT",  # the saved model is whole, and a checkpoint fits any number
            "cpu_offload": offload != "none",  # the optimiser is moved only along with its weights
            **_mapping(recipe.get("fsdp_config")),
        }
    if ranks.here().world_size > 1 and strategy == "ddp" and "ddp_find_unused_parameters" not in recipe.values:
        chosen["ddp_find_unused_parameters"] = False
    return chosen


def _mapping(given: Any) -> dict[str, Any]:
    """A configuration that is a mapping, JSON text or the name of a JSON file; empty where there is none."""
    if isinstance(given, str) and given.strip():
        text = given if given.lstrip().startswith("{") else Path(given).expanduser().read_text(encoding="utf-8")
        return dict(json.loads(text))
    return dict(given or {})


def _zero(stage: int, offload: str) -> dict[str, Any]:
    """A DeepSpeed configuration; what `auto` means is filled in by transformers from the trainer's arguments."""
    sharing: dict[str, Any] = {
        "stage": stage,
        "overlap_comm": True,
        "contiguous_gradients": True,
        "reduce_scatter": True,
        "reduce_bucket_size": "auto",
    }
    if stage == 3:
        sharing.update(
            stage3_prefetch_bucket_size="auto",
            stage3_param_persistence_threshold="auto",
            stage3_gather_16bit_weights_on_model_save=True,  # in whatever dtype they have: the saved model is whole
        )
    if offload != "none":
        sharing["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    if offload == "all":
        sharing["offload_param"] = {"device": "cpu", "pin_memory": True}
    # The batch stays `auto`: a number would be wrong as soon as the number of processes changes.
    return {
        "zero_optimization": sharing,
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }


def join(strategy: str, recipe: Recipe, *, on_cpu: bool) -> dict[str, Any]:
    """Meet the other processes; call before upstream's arguments are made. The value: arguments that follow from it.

    Upstream meets them by itself on GPUs. On CPUs it does so only for plain copies of the model.
    """
    if strategy == "single":
        return {}
    timeout = timedelta(seconds=float(recipe.get("ddp_timeout") or 1800))
    if not strategy.startswith("zero"):
        return {"use_cpu": True} if on_cpu else {}
    if on_cpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    from deepspeed import comm

    # ZeRO-3 asks for the number of processes while the model is loaded, which is earlier than the trainer is made.
    comm.init_distributed(dist_backend="gloo" if on_cpu else "nccl", auto_mpi_discovery=False, timeout=timeout)
    if not on_cpu:
        return {}
    from accelerate import PartialState

    os.environ.update(ACCELERATE_TORCH_DEVICE="cpu", ACCELERATE_USE_DEEPSPEED="true")
    PartialState(cpu=False, backend="gloo")
    given = recipe.get("accelerator_config")
    return {"use_cpu": False, "accelerator_config": {**(given if isinstance(given, dict) else {}), **_AS_IT_IS}}


def allow_fsdp_on_cpu(config: Any) -> Callable[[], None]:
    """Let accelerate share out a model among processes without GPUs; call what is returned when the trainer is made.

    It asks for the kind of company before it looks for FSDP, and knows FSDP only among GPUs; everything below that
    question works on any device (accelerate 1.15, `AcceleratorState.__init__`).
    """
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    shared = PartialState._shared_state
    if not config.fsdp or shared.get("distributed_type") != DistributedType.MULTI_CPU:
        return lambda: None
    shared["distributed_type"] = DistributedType.MULTI_GPU

    def restore() -> None:
        if shared.get("distributed_type") == DistributedType.MULTI_GPU:
            shared["distributed_type"] = DistributedType.MULTI_CPU

    return restore


def lighten(accelerator: Any) -> None:
    """Let DDP send gradients from where they lie: its buckets would be a second copy of them all."""
    if accelerator.ddp_handler is not None:
        accelerator.ddp_handler.gradient_as_bucket_view = True


def for_evaluation(model: Any, accelerator: Any, strategy: str) -> Any:
    """`model` as the strategy holds a model that is not trained: on this process's device, or shared out."""
    if strategy == "zero3":
        from trl.models.utils import prepare_deepspeed

        return prepare_deepspeed(model, accelerator)
    if strategy == "fsdp":
        from trl.models.utils import prepare_fsdp

        return prepare_fsdp(model, accelerator)
    return model.to(accelerator.device)
