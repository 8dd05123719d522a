"""MT-Bench's judging: 160 requests to a judge that takes a second for each, the same again, and the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.measure import Row, align, median, run

_LATENCY_S = 1.0
_IN_FLIGHT = 32
_WITHOUT_TORCH = (
    "import sys; from align_cli.cli.app import run; code = run(sys.argv[1:]); "
    "sys.exit(9 if 'torch' in sys.modules else code)"
)


def rows(scratch: Path) -> list[Row]:
    """Wall seconds of whole processes; the peer, FastChat's judge, cannot run with today's openai package."""
    place = scratch / "judging"
    with _judge(0) as url:
        said = run(align("eval", "mtbench", "generate", "m", "--endpoint", url, "--output-dir", str(place)))
        _demand(said.code, 0, said.output)
    with _judge(_LATENCY_S) as url:
        command = align("eval", "mtbench", "judge", str(place), "--judge", "j", "--judge-endpoint", url)
        command += ["--in-flight", str(_IN_FLIGHT), "--json"]
        first = run(command)
        _demand(first.code, 0, first.output)
        again = median(command)
    _demand(again.code, 0, again.output)
    asked = sum(1 for _ in (place / "judgments.jsonl").open())
    _demand(asked, 160, f"{asked} judgments")
    _demand(json.loads(again.output[again.output.index("{") :])["asked"], 0, again.output)
    words = ["eval", "mtbench", "report", str(place)]
    report = median([sys.executable, "-c", _WITHOUT_TORCH, *words])
    _demand(report.code, 0, report.output)
    alone = f"{asked} at {_LATENCY_S:.0f} s, {_IN_FLIGHT} at a time: {asked / _IN_FLIGHT * _LATENCY_S:.0f} s"
    return [
        Row("160 judgments, 1 s each, 32 in flight", f"{first.wall_s:.2f} s", "-", alone, "<= 8 s", first.wall_s <= 8),
        Row("the same again: nothing to do", f"{again.wall_s:.2f} s", "-", "-", "<= 1 s", again.wall_s <= 1),
        Row("report and page, no torch", f"{report.wall_s:.2f} s", "-", "-", "<= 2 s", report.wall_s <= 2),
    ]


@contextmanager
def _judge(latency: float) -> Iterator[str]:
    """A judge in a process of its own; its address."""
    command = [sys.executable, "-m", "tests.evals.endpoint", "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _demand(found: int, expected: int, output: str) -> None:
    if found != expected:
        raise RuntimeError(f"it gave {found}, expected {expected}:\n{output[-2000:]}")
