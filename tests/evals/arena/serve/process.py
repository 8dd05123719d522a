"""The real command in a process of its own, and files of answers for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parents[4]
TEXT = "Some **bold** words.\n\n```python\nprint(1)\n```\n\n<img src=x onerror=alert(1)>"


def files(folder: Path, names: Sequence[str], count: int) -> list[str]:
    """A file of prompts and answers for each name."""
    made = []
    for name in names:
        answers = [f"{TEXT}\n\n{len(name)} and {n}" for n in range(count)]
        rows = [{"id": f"q{n}", "prompt": f"Question {n}?", "answer": said} for n, said in enumerate(answers)]
        path = folder / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        made.append(str(path))
    return made


class Served:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], root: str, said: str) -> None:
        self.process, self.root, self.said = process, root, said


@contextmanager
def serving(folder: Path, *words: str, expected: str = "raters: ") -> Iterator[Served]:
    """`align eval arena serve` until the block ends; then it is killed if it still runs.

    `expected`: what it says before an address when it is ready.
    """
    environ = {**os.environ, "PYTHONPATH": str(HERE), "OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}
    if "--port" not in words:
        words = (*words, "--port", "0")
    process = subprocess.Popen(
        [sys.executable, "-m", "align_cli", "eval", "arena", "serve", *words],
        cwd=folder, env=environ, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    try:
        while not (found := re.search(rf"{expected} ?(http://[^\s/]+/?)\S*\n", said)):
            line = process.stderr.readline()
            assert line, f"it ended: {said}"
            said += line
        yield Served(process, found[1], said)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
