"""Keys of accelerate whose meaning is more than another word: a function each, named in `keys.toml`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from align_cli.launch.accelerate import table
from align_cli.launch.accelerate.said import Found, Said, quoted
from align_cli.recipe.provenance import Key


def distributed_type(said: Said, found: Found) -> None:
    """The strategy; of DeepSpeed the stage, too. Read before all other keys."""
    kind = kind_of(said)
    if kind in table.without_strategy():
        message = f"distributed_type: {kind} cannot be run: {table.without_strategy()[kind]}"
        said.problem(found.key, message, "launch: {strategy: …} says what can")
    elif kind not in table.strategies():
        said.wrong(found, f"one of {', '.join(table.strategies())}")
    elif kind == "DEEPSPEED":
        _stage(said, found.key)
    else:
        said.set_launch("strategy", table.strategies()[kind], found.key)
        if kind == "MULTI_CPU":
            said.set_trainer("use_cpu", True, found.key)


def kind_of(said: Said) -> str:
    """`distributed_type` in capitals; YAML 1.1 reads an unquoted `NO` as false."""
    value = said.document.tree.get("distributed_type")
    return "NO" if value in (None, False) else str(value).upper()


def num_processes(said: Said, found: Found) -> None:
    """-1 leaves the number to the launcher; without distribution there is one process in any case."""
    if kind_of(said) != "NO":
        said.set_launch("num_processes", "auto" if found.value == -1 else found.value, found.key)


def machine_rank(said: Said, found: Found) -> None:
    """A file for one machine says 0 and means nothing by it."""
    if (said.document.tree.get("num_machines") or 1) != 1 or found.value != 0:
        said.set_launch("machine_rank", found.value, found.key)


def gpu_ids(said: Said, found: Found) -> None:
    """Which GPUs are seen."""
    if found.word.lower() != "all":
        said.set_env("CUDA_VISIBLE_DEVICES", found.word.replace(" ", ""), found.key)


def use_cpu(said: Said, found: Found) -> None:
    """Taken only where it is true: false is the trainer's default."""
    if found.is_true:
        said.set_trainer("use_cpu", True, found.key)


def mixed_precision(said: Said, found: Found) -> None:
    """`no` is taken as well: trainers choose bf16 by themselves."""
    word = found.word.lower()
    if word in ("bf16", "fp16"):
        said.set_trainer(word, True, found.key)
    elif word == "no":
        said.set_trainer("bf16", False, found.key)
    elif word == "fp8":
        said.note(found.key, "mixed_precision: fp8 is not honoured: there is no 8-bit training here")
    else:
        said.wrong(found, "one of no, fp16, bf16")


def old_fp16(said: Said, found: Found) -> None:
    """The word of before mixed_precision, which wins over it."""
    if found.is_true and "mixed_precision" not in said.document.tree:
        said.set_trainer("fp16", True, found.key)


def dynamo_backend(said: Said, found: Found) -> None:
    """torch.compile."""
    if not found.is_false:
        said.set_trainer("torch_compile", True, found.key)
        said.set_trainer("torch_compile_backend", found.word.lower(), found.key)


def dynamo_mode(said: Said, found: Found) -> None:
    """torch.compile's mode, where something is compiled."""
    backend = str(said.section("dynamo_config").get("dynamo_backend") or "no").lower()
    if backend != "no" and found.word.lower() != "default":
        said.set_trainer("torch_compile_mode", found.word, found.key)


def read_before(said: Said, found: Found) -> None:
    """Taken together with distributed_type."""


def offload_optimizer(said: Said, found: Found) -> None:
    """The optimiser's states in main memory."""
    if _offloads(said, found) and said.launch.get("offload") != "all":
        said.set_launch("offload", "optimizer", found.key)


def offload_weights(said: Said, found: Found) -> None:
    """Weights in main memory, and the optimiser with them; only stage 3 has ever done it."""
    if said.launch.get("strategy") == "zero3":
        if _offloads(said, found):
            said.set_launch("offload", "all", found.key)
    elif not found.is_false:
        said.note(found.key, f"{found.name}: {found.word} is not honoured: only zero_stage 3 can")


def whole_number(said: Said, found: Found) -> None:
    """A count; `auto` leaves it to the trainer."""
    if found.word.lower() == "auto":
        return
    if not (found.word.isascii() and found.word.isdigit()):
        said.wrong(found, "a whole number or auto")
    elif found.rule.fsdp:
        said.set_fsdp(found.rule.fsdp, int(found.word), found.key)
    else:
        said.set_trainer(found.rule.trainer, int(found.word), found.key)


def number(said: Said, found: Found) -> None:
    """A number; `auto` leaves it to the trainer."""
    if found.word.lower() in ("auto", "none"):
        return
    try:
        said.set_trainer(found.rule.trainer, float(found.word), found.key)
    except ValueError:
        said.wrong(found, "a number or auto")


def save_whole(said: Said, found: Found) -> None:
    """Whole in any case."""
    if found.is_false and said.launch.get("strategy") == "zero3":
        said.note(found.key, f"{found.name}: no is not honoured: the saved model is whole in any case")


def sharding(said: Said, found: Found) -> None:
    """Whether gathered weights are given back after the forward pass; numbers are those of FSDP 1."""
    names = ("FULL_SHARD", "SHARD_GRAD_OP", "NO_SHARD", "HYBRID_SHARD", "HYBRID_SHARD_ZERO2")
    word = found.word.upper()
    word = names[int(word) - 1] if word in ("1", "2", "3", "4", "5") and found.value is not True else word
    if word == "NO_SHARD":
        said.set_launch("strategy", "ddp", found.key)
    elif word not in (*names, "YES", "NO", "TRUE", "FALSE"):
        said.wrong(found, f"one of {', '.join(names)}, true, false")
    else:
        if word.startswith("HYBRID"):
            said.note(found.key, f"{found.name}: {word} is not honoured: all processes share the model out")
        if word in ("SHARD_GRAD_OP", "HYBRID_SHARD_ZERO2", "NO", "FALSE"):
            said.set_fsdp("reshard_after_forward", False, found.key)


def offload_fsdp(said: Said, found: Found) -> None:
    """Weights, gradients and optimiser in main memory."""
    if found.is_true:
        said.set_launch("offload", "all", found.key)


def layers(said: Said, found: Found) -> None:
    """The classes that are units of sharing."""
    names = found.value if isinstance(found.value, list) else found.word.split(",")
    said.set_fsdp("transformer_layer_cls_to_wrap", [str(name).strip() for name in names], found.key)


def state_dict(said: Said, found: Found) -> None:
    """How checkpoints are written; the model at the end is whole in any case."""
    word = found.word.upper()
    if word in ("FULL_STATE_DICT", "SHARDED_STATE_DICT"):
        said.set_fsdp("state_dict_type", word, found.key)
    elif word == "LOCAL_STATE_DICT":
        said.note(found.key, f"{found.name}: {word} is not honoured: FSDP 2 has no such checkpoints")
    else:
        said.wrong(found, "one of FULL_STATE_DICT, SHARDED_STATE_DICT")


def checkpointing(said: Said, found: Found) -> None:
    """The trainer's own word for it: with both on, transformers refuses to start."""
    if found.is_true:
        said.set_trainer("gradient_checkpointing", True, found.key)


MEANINGS: Mapping[str, Callable[[Said, Found], None]] = {
    function.__name__: function
    for function in (
        distributed_type, num_processes, machine_rank, gpu_ids, use_cpu, mixed_precision, old_fp16, dynamo_backend,
        dynamo_mode, read_before, offload_optimizer, offload_weights, whole_number, number, save_whole, sharding,
        offload_fsdp, layers, state_dict, checkpointing,
    )
}  # fmt: skip


def _stage(said: Said, key: Key) -> None:
    section = said.section("deepspeed_config")
    stage = section.get("zero_stage")
    at: Key = ("deepspeed_config", "zero_stage")
    if (file := section.get("deepspeed_config_file")) not in (None, "none"):
        at = ("deepspeed_config", "deepspeed_config_file")
        config = _own_config(said, str(file), at)
        if config is None:
            return
        stage = config.get("stage", 0)
        devices = [_device(config.get(name)) for name in ("offload_param", "offload_optimizer")]
        if devices[0] != "none" or devices[1] != "none":
            said.set_launch("offload", "all" if devices[0] != "none" else "optimizer", at)
    if stage is None:
        stage, at = 2, key  # accelerate's own default
    if stage not in (0, 1, 2, 3) or isinstance(stage, bool):
        said.problem(at, f"deepspeed_config.zero_stage: expected 0 to 3, not {quoted(stage)}")
        return
    said.set_launch("strategy", f"zero{stage}" if stage else "ddp", at)
    if not stage:
        said.note(at, "zero_stage: 0 shares nothing out: it is run as strategy ddp, without DeepSpeed")


def _own_config(said: Said, file: str, at: Key) -> dict[str, Any] | None:
    """`zero_optimization` of a DeepSpeed config beside the file, and the config as the trainer's own key."""
    path = Path(file).expanduser()
    path = path if path.is_absolute() or path.exists() else said.folder / path
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{file} cannot be read: {getattr(error, 'strerror', None) or error}"
        said.problem(at, message, "a path beside this file, or an absolute one")
        return None
    said.set_trainer("deepspeed", str(path), at)
    zero = document.get("zero_optimization") if isinstance(document, dict) else None
    return zero if isinstance(zero, dict) else {}


def _device(config: Any) -> str:
    return str(config.get("device") or "none") if isinstance(config, dict) else "none"


def _offloads(said: Said, found: Found) -> bool:
    device = found.word.lower()
    if device == "nvme":
        said.note(found.key, f"{found.name}: nvme is not honoured: it lies in main memory instead")
    elif device != "cpu" and not found.is_false:
        said.wrong(found, "one of none, cpu, nvme")
    return device in ("cpu", "nvme")
