"""`align/manifest.json`: everything about a finished run in one file, written last, so that its existence says so."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from align_cli.files import digest_of_file, read_json, write_json
from align_cli.recipe.schema import Recipe
from align_cli.runs.directory import MANIFEST, OURS, PLAN, PREPARATION

PACKAGES = (
    "align-cli",
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "safetensors",
    "bitsandbytes",
)
_FORMAT = 1  # raise when a key changes its meaning


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result, where installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def host() -> dict[str, Any]:
    """What this machine is, without its name; GPUs as far as torch, which a run has loaded, sees them."""
    torch = sys.modules.get("torch")
    gpus = []
    if torch is not None and torch.cuda.is_available():
        gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"system": platform.platform(), "machine": platform.machine(), "cpus": os.cpu_count(), "gpus": gpus}


def build(
    run_dir: Path,
    recipe: Recipe,
    *,
    metrics: Mapping[str, float],
    facts: Mapping[str, Any],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """The manifest as a value; reads the plan, the preparation report and the files of the run."""
    plan = read_json(run_dir / OURS / PLAN)
    return {
        "format": _FORMAT,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": recipe.task,
        "recipe": {"path": recipe.path, "sha256": plan["recipe_sha256"], "overrides": list(recipe.overrides)},
        "profile": recipe.profile,
        "notes": [str(note) for note in recipe.notes],
        "model": {"name": recipe.get("model_name_or_path"), "revision": recipe.values.get("model_revision")},
        "data": {"digest": plan["data_digest"], **read_json(run_dir / OURS / PREPARATION)},
        "plan": plan["plan"],
        "facts": dict(facts),
        "metrics": dict(metrics),
        "warnings": list(warnings),
        "published": None,
        "versions": versions(),
        "host": host(),
        "files": _files(run_dir),
    }


def write(run_dir: Path, document: Mapping[str, Any]) -> None:
    """Declare the run finished."""
    write_json(run_dir / OURS / MANIFEST, dict(document))


def amend(run_dir: Path, **entries: Any) -> None:
    """Change entries of a finished run's manifest; a reader sees the old one or the new one."""
    place = run_dir / OURS / MANIFEST
    write_json(place, {**read_json(place), **entries})


def _files(run_dir: Path) -> dict[str, dict[str, Any]]:
    """Size and sha256 of every file at the top of the run: the model and what belongs to it."""
    return {
        file.name: {"bytes": file.stat().st_size, "sha256": digest_of_file(file)}
        for file in sorted(run_dir.iterdir())
        if file.is_file()
    }
