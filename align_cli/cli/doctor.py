"""`align doctor`: versions, devices, and what is missing for which feature; torch is not imported."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from align_cli import __version__, registry
from align_cli.cli import documents
from align_cli.errors import LaunchError, PluginError
from align_cli.files import cache_root
from align_cli.launch.host import Host, inspect

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_REQUIRED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "omegaconf", "huggingface_hub", "typer")

#: Feature, what makes it work (any of these packages), needs a CUDA GPU, how to get it.
_FEATURES: tuple[tuple[str, tuple[str, ...], bool, str], ...] = (
    ("LoRA (use_peft)", ("peft",), False, "pip install peft"),
    ("QLoRA, 8-bit optimisers", ("bitsandbytes",), True, "pip install 'align-cli[quantisation]'"),
    ("flash attention 2", ("flash_attn", "kernels"), True, "pip install kernels, or flash-attn"),
    ("Liger kernels", ("liger_kernel",), True, "pip install liger-kernel"),
    ("DeepSpeed", ("deepspeed",), False, "pip install 'align-cli[deepspeed]'"),
    ("report_to: tensorboard", ("tensorboard", "tensorboardX"), False, "pip install tensorboard"),
    ("report_to: wandb", ("wandb",), False, "pip install 'align-cli[wandb]'"),
    ("report_to: trackio", ("trackio",), False, "pip install 'align-cli[trackio]'"),
    ("evaluation with vLLM", ("vllm",), True, "pip install 'align-cli[vllm]'"),
    ("keys of judges from the keyring", ("keyring",), False, "pip install 'align-cli[keyring]'"),
    ("curves as PNG and SVG", ("matplotlib",), False, "pip install 'align-cli[plot]'"),
)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """What this machine has, and what is missing for which feature."""
    host = inspect()
    report = {
        "versions": _versions(),
        "machine": _machine(host),
        "features": _features(host),
        "notes": _notes(),
    }
    if as_json:
        documents.write(report | {"host": host.as_dict()}, sys.stdout)
        return
    from align_cli.cli import render

    render.doctor(report)


def _versions() -> dict[str, str]:
    found = {"align": __version__, "Python": platform.python_version()}
    for name in _REQUIRED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _machine(host: Host) -> dict[str, str]:
    cache = cache_root()
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    gpus = [
        f"{gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB, capability {gpu.capability[0]}.{gpu.capability[1]}"
        for gpu in host.gpus
    ]
    gpus += [f"{name} (not usable: this torch is a CPU build)" for name in host.unused_gpus]
    gpus += ["Apple GPU (MPS)"] if host.mps else []
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(host.cpus),
        "memory": f"{host.memory_bytes / 2**30:.1f} GiB" if host.memory_bytes else "unknown",
        "GPU": "; ".join(gpus) or "none",
        "torch for": f"CUDA {host.torch_cuda}" if host.torch_cuda else "CPU",
        "cache": f"{cache}, {shutil.disk_usage(there).free / 2**30:.0f} GiB free"
        + ("" if os.access(there, os.W_OK) else ", NOT WRITABLE"),
        "Hub": "offline (HF_HUB_OFFLINE)" if _on("HF_HUB_OFFLINE") else f"online, {_login()}",
    }


def _features(host: Host) -> list[dict[str, str]]:
    bf16 = (bool(host.gpus) and host.gpus[0].capability >= (8, 0)) or host.mps
    rows = [
        _feature("training on a GPU", bool(host.gpus) or host.mps, _gpu_detail(host), absent="off"),
        _feature("bf16 and tf32", bf16, "a CUDA GPU of capability 8.0 or newer", absent="off"),
    ]
    for feature, packages, gpu, how in _FEATURES:
        installed = bool(host.packages.intersection(packages))
        if gpu and not host.gpus:
            rows.append(_feature(feature, False, "a CUDA GPU" + ("" if installed else f"; {how}"), absent="off"))
        else:
            rows.append(_feature(feature, installed, "" if installed else how))
    return [*rows, _gguf_export()]


def _gguf_export() -> dict[str, str]:
    from align_cli.models import gguf_export

    try:
        gguf_export.demand_packages(gguf_export.find_converter(None))
    except LaunchError as error:
        return _feature("GGUF export", False, error.hint)
    return _feature("GGUF export", True, "")


def _feature(feature: str, works: bool, detail: str, *, absent: str = "missing") -> dict[str, str]:
    return {"feature": feature, "state": "ok" if works else absent, "detail": "" if works else detail}


def _gpu_detail(host: Host) -> str:
    if host.unused_gpus:
        return f"a CUDA build of torch: there is a {host.unused_gpus[0]}, and this torch is a CPU build"
    return "a GPU; small models train on the CPU too"


def _notes() -> list[str]:
    notes = []
    for name in _REQUIRED:
        try:
            version(name)
        except PackageNotFoundError:
            notes.append(f"{name} is not installed: pip install {name}")
    for entry in [*registry.entries(registry.TASKS), *registry.entries(registry.BENCHMARKS)]:
        try:
            if entry.distribution:
                registry.load(entry)
        except PluginError as error:
            notes.append(error.message)
    return notes


def _login() -> str:
    """Whether a Hub token is there; its value is never read."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    stored = (Path(os.environ.get("HF_TOKEN_PATH") or home / "token")).is_file()
    return "a token is set" if os.environ.get("HF_TOKEN") or stored else "no token (only needed for private models)"


def _on(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on")
