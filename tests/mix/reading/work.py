"""What the engines' tests have done elsewhere: functions that another process can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from align_cli.mix.faults import fault


def doubled(number: int) -> tuple[int, int]:
    time.sleep(0.02 if number % 3 == 0 else 0)  # so that items end in another order than they began
    return 2 * number, os.getpid()


def killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refused(number: int) -> int:
    if number >= 2:
        raise fault(f"row {number}", "it is bad", "make it good")
    return number


def endless(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    while True:
        time.sleep(1)
