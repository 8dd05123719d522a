"""Files as `accelerate config` and the Alignment Handbook write them, made from what differs between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

#: What every file of one machine says.
COMMON: dict[str, Any] = {
    "compute_environment": "LOCAL_MACHINE",
    "debug": False,
    "downcast_bf16": "no",
    "machine_rank": 0,
    "main_training_function": "main",
    "mixed_precision": "bf16",
    "num_machines": 1,
    "num_processes": 8,
    "rdzv_backend": "static",
    "same_network": True,
    "tpu_env": [],
    "tpu_use_cluster": False,
    "tpu_use_sudo": False,
    "use_cpu": False,
}
_FSDP = {
    "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "fsdp_backward_prefetch": "BACKWARD_PRE",
    "fsdp_cpu_ram_efficient_loading": True,
    "fsdp_forward_prefetch": True,
    "fsdp_offload_params": False,
    "fsdp_sharding_strategy": "FULL_SHARD",
    "fsdp_state_dict_type": "SHARDED_STATE_DICT",
    "fsdp_sync_module_states": True,
    "fsdp_use_orig_params": True,
}
_ZERO3 = {
    "deepspeed_multinode_launcher": "standard",
    "offload_optimizer_device": "none",
    "offload_param_device": "none",
    "zero3_init_flag": True,
    "zero3_save_16bit_model": True,
    "zero_stage": 3,
}
_ZERO2 = {
    "deepspeed_multinode_launcher": "standard",
    "offload_optimizer_device": "none",
    "offload_param_device": "none",
    "zero3_init_flag": False,
    "zero_stage": 2,
}
_ZERO1 = {"deepspeed_multinode_launcher": "standard", "zero3_init_flag": False, "zero_stage": 1}

#: File of the Handbook -> what it says beside `COMMON`; both generations of names.
HANDBOOK: dict[str, dict[str, Any]] = {
    "multi_gpu": {"distributed_type": "MULTI_GPU", "gpu_ids": "all"},
    "deepspeed_zero1": {"distributed_type": "DEEPSPEED", "deepspeed_config": _ZERO1},
    "deepspeed_zero2": {"distributed_type": "DEEPSPEED", "deepspeed_config": _ZERO2},
    "deepspeed_zero3": {"distributed_type": "DEEPSPEED", "deepspeed_config": _ZERO3},
    "fsdp": {"distributed_type": "FSDP", "enable_cpu_affinity": False, "fsdp_config": _FSDP},
    "fsdp_qlora": {
        "distributed_type": "FSDP",
        "mixed_precision": "no",
        "num_processes": 2,
        "fsdp_config": {**_FSDP, "fsdp_offload_params": True, "fsdp_use_orig_params": False},
    },
}
HANDBOOK["ddp"], HANDBOOK["zero3"] = HANDBOOK["multi_gpu"], HANDBOOK["deepspeed_zero3"]
HANDBOOK["fsdp+qlora"] = HANDBOOK["fsdp_qlora"]


def write(path: Path, *, common: bool = True, **said: Any) -> Path:
    """A file that says `said`, sorted as accelerate sorts it."""
    tree = {**(COMMON if common else {}), **said}
    path.write_text(yaml.safe_dump(tree, sort_keys=True), encoding="utf-8")
    return path
