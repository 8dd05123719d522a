"""Run a command as a whole process and say what it cost."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
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
    """Largest resident set of any one of its processes."""
    code: int
    output: str
    together_mb: float = 0.0
    """Peak of the memory of all its processes together, pages that they share counted once; mapped files included."""
    own_mb: float = 0.0
    """Peak of what was not merely a file's pages, which the system could take back at any time."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `peer` and `bar` are shown as they are; `passed` is None where there is no bar."""

    what: str
    ours: str
    peer: str
    ratio: str
    bar: str
    passed: bool | None


def run(command: Sequence[str], *, cwd: Path | None = None, together: bool = False) -> Cost:
    """Run `command` to its end; stdout and stderr are kept together in `output`.

    `together`: look at the memory of all its processes ten times a second; `peak_mb` needs no looking.
    """
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=environment())
        ended, peaks = threading.Event(), [0.0, 0.0]
        watcher = threading.Thread(target=_watch, args=(process.pid, ended, peaks))
        if together:
            watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        ended.set()
        if together:
            watcher.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(wall, cpu, usage.ru_maxrss / 1024, process.returncode, text, *peaks)


def _watch(pid: int, ended: threading.Event, peaks: list[float]) -> None:
    while not ended.wait(0.1):
        totals = [0.0, 0.0]
        for one in _family(pid):
            try:
                lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:]
            except OSError:  # it has ended meanwhile
                continue
            kb = {line.split(":")[0]: int(line.split()[1]) for line in lines}
            totals[0] += kb["Pss"] / 1024
            totals[1] += kb["Pss_Anon"] / 1024
        peaks[:] = [max(pair) for pair in zip(peaks, totals, strict=True)]


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


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
