"""`python -m tests.benchmarks [NAME …]`: measure, print one table, exit 1 if a bar is missed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks import (
    alpacaeval,
    arena,
    generating,
    judging,
    launch,
    memory,
    mixing,
    preferences,
    preparing,
    ratings,
    sft,
    startup,
)
from tests.benchmarks.measure import Row

_ALL = {
    "startup": startup.rows,
    "sft": sft.rows,
    "preferences": preferences.rows,
    "launch": launch.rows,
    "preparing": preparing.rows,
    "mixing": mixing.rows,
    "memory": memory.rows,
    "generating": generating.rows,
    "judging": judging.rows,
    "alpacaeval": alpacaeval.rows,
    "ratings": ratings.rows,
    "arena": arena.rows,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in _ALL]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(_ALL)}", file=sys.stderr)
        return 2
    table: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="align-bench-") as scratch:
        for name in names or _ALL:
            print(f"measuring {name} …", file=sys.stderr)
            table += _ALL[name](Path(scratch))
    _print(table)
    return 1 if any(row.passed is False for row in table) else 0


def _print(table: list[Row]) -> None:
    lines = [("what", "align", "peer", "ratio", "bar", "")]
    verdict = {True: "passed", False: "MISSED", None: ""}
    lines += [(row.what, row.ours, row.peer, row.ratio, row.bar, verdict[row.passed]) for row in table]
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
