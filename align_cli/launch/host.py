"""What this machine has, found out without importing torch: cores, memory, GPUs, packages.

GPUs are asked of the driver's own library (NVML) through ctypes: a few milliseconds, where `import torch` costs
seconds. A GPU counts only if the installed torch can use it, because that is what decides how a run goes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from align_cli import cores

#: Optional packages that some recipe key (see `adapt`) or command needs.
OPTIONAL = (
    "bitsandbytes", "deepspeed", "flash_attn", "flash_attn_interface", "kernels", "liger_kernel", "peft", "torchao",
    "tensorboard", "tensorboardX", "wandb", "trackio", "mlflow", "comet_ml", "clearml", "codecarbon", "dagshub",
    "dvclive", "flytekit", "kubeflow", "neptune", "swanlab", "azureml", "azure", "vllm",
    "apex", "apollo_torch", "galore_torch", "grokadamw", "lomo_optim", "schedulefree", "optimi", "matplotlib",
    "keyring",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU that torch can use."""

    name: str
    memory_bytes: int
    capability: tuple[int, int]
    """CUDA compute capability, e.g. (9, 0)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One machine as a plan sees it."""

    cpus: int
    """Cores this process may use."""
    memory_bytes: int
    """Memory this process may use; 0 when unknown."""
    gpus: tuple[Gpu, ...] = ()
    unused_gpus: tuple[str, ...] = ()
    """GPUs the driver knows and the installed torch cannot use."""
    mps: bool = False
    """An Apple GPU."""
    torch_cuda: str = ""
    """The CUDA version torch was built for; empty for a CPU build or without torch."""
    packages: frozenset[str] = frozenset()
    """Which of `OPTIONAL` are installed."""

    @property
    def device(self) -> str:
        """Where one process would train."""
        return "cuda" if self.gpus else "mps" if self.mps else "cpu"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"packages": sorted(self.packages), "device": self.device}


def inspect() -> Host:
    """This machine, now."""
    torch_cuda = _torch_cuda()
    gpus = _nvidia_gpus()
    return Host(
        cpus=cores.usable(),
        memory_bytes=_memory_bytes(),
        gpus=tuple(gpus) if torch_cuda else (),
        unused_gpus=() if torch_cuda else tuple(gpu.name for gpu in gpus),
        mps=sys.platform == "darwin" and platform.machine() == "arm64",
        torch_cuda=torch_cuda,
        packages=frozenset(name for name in OPTIONAL if _is_installed(name)),
    )


def _is_installed(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _memory_bytes() -> int:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0
    with contextlib.suppress(OSError, ValueError):  # "max" is a ValueError: no limit
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def _torch_cuda() -> str:
    """The `cuda` line of torch's own version file, read and not imported."""
    try:
        spec = find_spec("torch")
    except (ImportError, ValueError):
        return ""
    if spec is None or not spec.submodule_search_locations:
        return ""
    try:
        text = (Path(spec.submodule_search_locations[0]) / "version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.split(":")[0].strip() == "cuda":
            value = value.strip().strip("'\"")
            return "" if value == "None" else value
    return ""


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


def _nvidia_gpus() -> list[Gpu]:
    """NVIDIA GPUs that `CUDA_VISIBLE_DEVICES` lets this process see, in its order."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        if nvml.nvmlInit_v2() != 0:
            return []
    except (OSError, AttributeError):
        return []
    try:
        count = ctypes.c_uint()
        if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return []
        found = [gpu for index in range(count.value) if (gpu := _nvidia_gpu(nvml, index))]
    except AttributeError:  # a driver older than these calls
        return []
    finally:
        nvml.nvmlShutdown()
    return [gpu for _, gpu in _visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))]


def _nvidia_gpu(nvml: ctypes.CDLL, index: int) -> tuple[str, Gpu] | None:
    """(UUID, GPU) number `index`; None if the driver will not tell."""
    handle = ctypes.c_void_p()
    if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) != 0:
        return None
    name, uuid = ctypes.create_string_buffer(96), ctypes.create_string_buffer(96)
    memory, major, minor = _Memory(), ctypes.c_int(), ctypes.c_int()
    nvml.nvmlDeviceGetName(handle, name, len(name))
    nvml.nvmlDeviceGetUUID(handle, uuid, len(uuid))
    nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
    nvml.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor))
    gpu = Gpu(name.value.decode(errors="replace"), int(memory.total), (major.value, minor.value))
    return uuid.value.decode(errors="replace"), gpu


def _visible(found: list[tuple[str, Gpu]], setting: str | None) -> list[tuple[str, Gpu]]:
    """Keep what `CUDA_VISIBLE_DEVICES` names; as CUDA does, stop at the first entry that names nothing."""
    if setting is None:
        return found
    kept = []
    for word in (word.strip() for word in setting.split(",")):
        if word.isdigit() and int(word) < len(found):
            kept.append(found[int(word)])
        elif match := [pair for pair in found if word and pair[0].startswith(word)]:
            kept.append(match[0])
        else:
            break
    return kept
