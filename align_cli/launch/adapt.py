"""What a recipe asks for and this host cannot honour, and the nearest value that runs here.

Only values that somebody chose are looked at: upstream's own defaults are never an error on any host. A dry run
shows mismatches as notes, a real run stops on them, and `--adapt` replaces them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from align_cli.errors import Problem
from align_cli.launch.host import Host
from align_cli.recipe.schema import Note, Origin, Recipe

_AMPERE = (8, 0)  # first CUDA capability with bf16 and tf32

#: `report_to` word -> packages, any of which will do (transformers' integrations/integration_utils.py).
_TRACKERS = {
    "azure_ml": ("azureml",),
    "clearml": ("clearml",),
    "codecarbon": ("codecarbon",),
    "comet_ml": ("comet_ml",),
    "dagshub": ("dagshub",),
    "dvclive": ("dvclive",),
    "flyte": ("flytekit",),
    "kubeflow": ("kubeflow",),
    "mlflow": ("mlflow",),
    "neptune": ("neptune",),
    "swanlab": ("swanlab",),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "trackio": ("trackio",),
    "wandb": ("wandb",),
}

#: Beginning of an `optim` value -> the package it needs (transformers' trainer_optimizer.py).
_OPTIMISER_PACKAGES = {
    "adamw_torch_4bit": "torchao",
    "adamw_torch_8bit": "torchao",
    "apollo": "apollo_torch",
    "galore": "galore_torch",
    "grokadamw": "grokadamw",
    "lomo": "lomo_optim",
    "adalomo": "lomo_optim",
    "schedule_free": "schedulefree",
    "stable_adamw": "optimi",
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One value that this host cannot honour."""

    key: str
    value: Any
    why: str
    nearest: Any
    """What `--adapt` puts in its place; None means: as if the key were not set."""

    @property
    def remedy(self) -> str:
        """What to type instead, in one phrase."""
        return f"{self.key}={_word(self.nearest)}" if self.nearest is not None else f"remove {self.key}"


def mismatches(recipe: Recipe, host: Host) -> list[Mismatch]:
    """Every chosen value of `recipe` that `host` cannot honour."""
    return [found for rule in _RULES for found in rule(recipe, host)]


def as_problems(recipe: Recipe, found: Sequence[Mismatch]) -> list[Problem]:
    """For a real run: one problem each, with its place."""
    return [
        Problem(f"{item.key}: {_word(item.value)}: {item.why}", _place(recipe, item.key), f"here: {item.remedy}")
        for item in found
    ]


def as_notes(recipe: Recipe, found: Sequence[Mismatch]) -> list[Note]:
    """For a dry run: one note each."""
    return [
        Note(
            item.key,
            f"{item.key}: {_word(item.value)} cannot run on this host: {item.why}; --adapt would use {item.remedy}",
            _place(recipe, item.key),
        )
        for item in found
    ]


def adapted(recipe: Recipe, found: Sequence[Mismatch]) -> Recipe:
    """The recipe with the nearest values in place; their origin is `adapted`, with a note each."""
    values, origins, notes = dict(recipe.values), dict(recipe.origins), list(recipe.notes)
    for item in found:
        where = _place(recipe, item.key)
        if item.nearest is None:
            values.pop(item.key, None)
            origins.pop(item.key, None)
        else:
            values[item.key] = item.nearest
            origins[item.key] = Origin("adapted", f"--adapt, was {_word(item.value)}")
        notes.append(Note(item.key, f"{item.key}: {_word(item.value)} adapted to {item.remedy}: {item.why}", where))
    return replace(recipe, values=values, origins=origins, notes=tuple(notes))


def _place(recipe: Recipe, key: str) -> str:
    origin = recipe.origins.get(key)
    return str(origin) if origin else ""


def _word(value: Any) -> str:
    """A value as it would be typed in an override."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(_word(item) for item in value)
    return "null" if value is None else str(value)


def _no_gpu(host: Host) -> str:
    if host.unused_gpus:
        return f"torch here is a CPU build and cannot use {host.unused_gpus[0]}"
    return "there is no CUDA GPU here"


def _on_cpu(recipe: Recipe, host: Host) -> bool:
    return bool(recipe.get("use_cpu")) or not host.gpus


def _precision(recipe: Recipe, host: Host) -> Iterator[Mismatch]:
    for key in ("bf16", "bf16_full_eval"):
        if recipe.values.get(key) and not recipe.get("use_cpu"):
            if not host.gpus and not host.mps:
                why = f"{_no_gpu(host)} (with use_cpu=true it runs, slowly)"
                yield Mismatch(key, True, why, False)
                if key == "bf16" and recipe.values.get("dtype") == "bfloat16":
                    yield Mismatch("dtype", "bfloat16", "weights are trained in float32 without a GPU", "float32")
            elif host.gpus and host.gpus[0].capability < _AMPERE:
                why = f"{host.gpus[0].name} has no bf16 (CUDA capability 8.0 or newer)"
                yield Mismatch(key, True, why, False)
    for key in ("fp16", "fp16_full_eval"):
        if recipe.values.get(key) and (recipe.get("use_cpu") or not (host.gpus or host.mps)):
            yield Mismatch(key, True, "half precision needs a GPU", False)
    if recipe.values.get("tf32"):
        if _on_cpu(recipe, host):
            yield Mismatch("tf32", True, "use_cpu is set" if host.gpus else _no_gpu(host), None)
        elif host.gpus[0].capability < _AMPERE:
            why = f"{host.gpus[0].name} has no tf32 (CUDA capability 8.0 or newer)"
            yield Mismatch("tf32", True, why, None)


def _attention(recipe: Recipe, host: Host) -> Iterator[Mismatch]:
    value = recipe.values.get("attn_implementation")
    name = str(value or "")
    flash = "flash" in name and name != "flex_attention"
    if not flash:
        return
    if _on_cpu(recipe, host):
        yield Mismatch("attn_implementation", value, "flash attention needs a CUDA GPU", "sdpa")
    elif "/" in name:
        if "kernels" not in host.packages:
            why = "attention from a Hub kernel needs the package kernels (pip install kernels)"
            yield Mismatch("attn_implementation", value, why, "sdpa")
    else:
        package = "flash_attn_interface" if name == "flash_attention_3" else "flash_attn"
        if package not in host.packages and "kernels" not in host.packages:
            yield Mismatch("attn_implementation", value, f"the package {package} is not installed", "sdpa")


def _quantisation(recipe: Recipe, host: Host) -> Iterator[Mismatch]:
    for key in ("load_in_4bit", "load_in_8bit"):
        if recipe.values.get(key):
            if _on_cpu(recipe, host):
                yield Mismatch(key, True, f"quantised training needs a CUDA GPU; {_no_gpu(host)}", False)
            elif "bitsandbytes" not in host.packages:
                yield Mismatch(key, True, "the package bitsandbytes is not installed (pip install bitsandbytes)", False)


def _optimiser(recipe: Recipe, host: Host) -> Iterator[Mismatch]:
    value = recipe.values.get("optim")
    name = str(value or "")
    from_bitsandbytes = "bnb" in name or name.startswith(("paged_", "lion_")) or name.endswith("_8bit")
    if name == "adamw_apex_fused":
        if "apex" not in host.packages:
            yield Mismatch("optim", value, "the package apex is not installed", "adamw_torch")
    elif package := next((p for start, p in _OPTIMISER_PACKAGES.items() if name.startswith(start)), None):
        if package not in host.packages:
            why = f"the package {package.replace('_', '-')} is not installed"
            yield Mismatch("optim", value, why, "adafactor" if "lomo" in name else "adamw_torch")
    elif from_bitsandbytes:
        nearest = "rmsprop" if name.startswith("rmsprop") else "adamw_torch"
        if _on_cpu(recipe, host):
            yield Mismatch("optim", value, "this optimiser needs bitsandbytes and a CUDA GPU", nearest)
        elif "bitsandbytes" not in host.packages:
            yield Mismatch("optim", value, "the package bitsandbytes is not installed", nearest)


def _trackers(recipe: Recipe, host: Host) -> Iterator[Mismatch]:
    origin = recipe.origins.get("report_to")
    if origin is not None and origin.kind == "profile":
        return  # nobody asked for it: the run says so and goes without
    value = recipe.values.get("report_to")
    names = [value] if isinstance(value, str) else list(value or ())
    missing = [name for name in names if name in _TRACKERS and not host.packages.intersection(_TRACKERS[name])]
    if missing:
        left = [name for name in names if name not in missing]
        plural = "s are" if len(missing) > 1 else " is"
        why = f"the package{plural} not installed: {', '.join(_TRACKERS[name][0] for name in missing)}"
        yield Mismatch("report_to", value, why, left or "none")


def _others(recipe: Recipe, host: Host) -> Iterator[Mismatch]:
    for key in ("use_liger_kernel", "use_liger"):
        if recipe.values.get(key):
            if _on_cpu(recipe, host):
                yield Mismatch(key, True, "the Liger kernels need a GPU", False)
            elif "liger_kernel" not in host.packages:
                yield Mismatch(key, True, "the package liger-kernel is not installed (pip install liger-kernel)", False)
    if recipe.values.get("use_peft") and "peft" not in host.packages:
        yield Mismatch("use_peft", True, "the package peft is not installed (pip install peft)", False)
    if recipe.values.get("deepspeed") and "deepspeed" not in host.packages:
        why = "the package deepspeed is not installed (pip install 'align-cli[deepspeed]')"
        yield Mismatch("deepspeed", recipe.values["deepspeed"], why, None)
    if recipe.values.get("ddp_backend") == "nccl" and _on_cpu(recipe, host):
        yield Mismatch("ddp_backend", "nccl", "NCCL needs CUDA GPUs", "gloo")


_RULES: tuple[Callable[[Recipe, Host], Iterator[Mismatch]], ...] = (
    _precision,
    _attention,
    _quantisation,
    _optimiser,
    _trackers,
    _others,
)
