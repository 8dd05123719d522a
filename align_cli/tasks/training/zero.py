"""ZeRO checkpoints: each process has written its own part of the optimiser, for a certain number of processes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from align_cli.errors import TrainingError
from align_cli.tasks.training import company

_PART = re.compile(r"zero_pp_rank_(\d+)_mp_rank_\d+_optim_states\.pt$")
_UNIVERSAL = "_universal"


def fitted(checkpoint: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """What DeepSpeed's configuration needs to go on from `checkpoint` with as many processes as there are now.

    A checkpoint of another number of processes is rewritten, beside its parts, into DeepSpeed's universal form, which
    names every parameter's state and is dealt out anew (its `checkpoint/ds_to_universal.py`).

    Raises:
        TrainingError: DeepSpeed cannot rewrite it.
    """
    if checkpoint is None:
        return {}
    folder = _state_in(checkpoint)
    if folder is None or _parts(folder) == company.size():
        return {}
    target = folder.with_name(folder.name + _UNIVERSAL)
    if company.is_first_here() and not (checkpoint / f"latest{_UNIVERSAL}").is_file():
        say(f"{checkpoint.name} is of {_parts(folder)} processes: dealing it out to {company.size()}")
        _rewrite(folder, target)
    company.wait()
    return {"checkpoint": {"load_universal": True}}


def _state_in(checkpoint: Path) -> Path | None:
    named = checkpoint / "latest"
    if not named.is_file():
        return None
    folder = checkpoint / named.read_text(encoding="utf-8").strip()
    return folder if folder.is_dir() else None


def _parts(folder: Path) -> int:
    return len({found[1] for file in folder.iterdir() if (found := _PART.search(file.name))})


def _rewrite(folder: Path, target: Path) -> None:
    module = "deepspeed.checkpoint.ds_to_universal"
    options = ["--input_folder", str(folder), "--output_folder", str(target), "--inject_missing_state"]
    few = ["--num_extract_workers", "1", "--num_merge_workers", "1"]
    done = subprocess.run([sys.executable, "-m", module, *options, *few], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise TrainingError(
            f"{folder.parent.name} cannot be dealt out to another number of processes: {last}",
            hint=f"go on with {_parts(folder)} processes",
        )
