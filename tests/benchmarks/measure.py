"""Run a command as a whole process and say what it cost."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """What one finished process cost. `cpu_s` is user + system time of it and its children."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    code: int
    output: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `peer` and `bar` are shown as they are; `passed` is None where there is no bar."""

    what: str
    ours: str
    peer: str
    ratio: str
    bar: str
    passed: bool | None


def run(command: Sequence[str], *, cwd: Path | None = None) -> Cost:
    """Run `command` to its end; stdout and stderr are kept together in `output`."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=environment())
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode, text)


def median(command: Sequence[str], *, times: int = 5, cwd: Path | None = None) -> Cost:
    """The run with the median CPU time out of `times`, after one warm-up that does not count."""
    run(command, cwd=cwd)
    costs = sorted((run(command, cwd=cwd) for _ in range(times)), key=lambda cost: cost.cpu_s)
    return costs[times // 2]


def seconds_until(
    command: Sequence[str], seen: Callable[[str], bool], *, cwd: Path, watch: Path | None = None
) -> float:
    """Wall seconds from the start of `command` until `seen(text)` holds for its output, or for the file `watch`.

    The process is left to finish; a command that ends without the sign raises RuntimeError with its last output.
    """
    start = time.perf_counter()
    with tempfile.NamedTemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=environment())
        target = watch or Path(output.name)
        found: float | None = None
        while found is None:
            ended = process.poll() is not None
            if target.exists() and seen(target.read_text(errors="replace")):
                found = time.perf_counter() - start
            elif ended:
                raise RuntimeError(f"{command[0]} ended without the sign:\n" + Path(output.name).read_text()[-3000:])
            else:
                time.sleep(0.02)
        process.wait()
    return found


def environment() -> dict[str, str]:
    """Offline, quiet and the same for everybody."""
    return os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "true",
        "NO_COLOR": "1",
    }


def align(*words: str) -> list[str]:
    """Our command line, as installed beside this Python."""
    return [str(Path(sys.executable).with_name("align")), *words]


def trl(*words: str) -> list[str]:
    """TRL's command line, as installed beside this Python."""
    return [str(Path(sys.executable).with_name("trl")), *words]


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)
