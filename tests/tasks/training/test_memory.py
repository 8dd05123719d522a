"""Peaks of a process, as the system counts them."""

from __future__ import annotations

import subprocess
import sys

from align_cli.tasks.training import memory


def test_the_peak_holds_what_was_held_and_freed() -> None:
    before = memory.resident()

    block = bytearray(300_000_000)
    block[::4096] = b"x" * len(block[::4096])
    del block

    assert memory.resident() >= min(before + 1, 300_000_000)
    assert memory.resident() >= 300_000_000


def test_a_small_process_does_not_inherit_the_peak_of_its_parent() -> None:
    block = bytearray(300_000_000)
    block[::4096] = b"x" * len(block[::4096])
    command = [sys.executable, "-c", "from align_cli.tasks.training import memory; print(memory.resident())"]

    child = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert child < 200_000_000
    del block
