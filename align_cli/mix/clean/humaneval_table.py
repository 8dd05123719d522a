"""`python -m align_cli.mix.clean.humaneval_table`: makes `humaneval.json` from the benchmark itself.

The strings are the docstring of each problem's prompt and each canonical solution, but for those few solutions that the
Handbook took for too common to mean anything.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from align_cli import assets
from align_cli.files import write_text
from align_cli.mix.clean.humaneval import ANCHOR, TABLE, Row, anchor_hashes

ASSET = "humaneval/HumanEval.jsonl.gz"
#: Problems whose solution, one common line, the Handbook let pass. Its list has a fourth entry, meant for HumanEval/28;
#: quotation marks inside it end the string early, so that it equals no solution, and that one was looked for after all.
ALLOWED = ("HumanEval/23", "HumanEval/41", "HumanEval/53")
_QUOTES = ('"""', "'''")


def table(path: Path) -> dict[str, Any]:
    """The document for the benchmark's file."""
    problems = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    return {
        "about": "see humaneval.py and humaneval_table.py: name, bytes, hash of the first bytes, sha256",
        "file sha256": assets.sha256(ASSET),
        "strings": rows(named(problems)),
    }


def rows(named: Mapping[bytes, str]) -> list[Row]:
    """What is kept of normalised strings in UTF-8, each with its name."""
    return [(name, len(text), f"{anchor(text):016x}", hashlib.sha256(text).hexdigest()) for text, name in named.items()]


def named(problems: Iterable[Mapping[str, str]]) -> dict[bytes, str]:
    """Normalised string in UTF-8 -> what messages call it; of equal ones the first."""
    found: dict[bytes, str] = {}
    for problem in problems:
        texts = {"docstring": docstring(problem["prompt"]), "solution": problem["canonical_solution"].strip()}
        for what, text in texts.items():
            if text and not (what == "solution" and problem["task_id"] in ALLOWED):
                found.setdefault(normalise(text).encode(), f"the {what} of {problem['task_id']}")
    return found


def docstring(prompt: str) -> str:
    """The docstring of the last function in a prompt: what stands between its last two triple quotation marks."""
    quotes = next(mark for mark in _QUOTES if mark in prompt)
    return prompt.split(quotes)[-2].strip()


def normalise(text: str) -> str:
    """Lower case, each run of white space as one space."""
    return " ".join(text.lower().split())


def anchor(text: bytes) -> int:
    """The hash of a string's first bytes."""
    import numpy as np

    return int(anchor_hashes(np.frombuffer(text[:ANCHOR], np.uint8))[0])


def text_of(document: Mapping[str, Any]) -> str:
    """The document as it is written: one string a line."""
    head = json.dumps({key: value for key, value in document.items() if key != "strings"}, indent=1)
    lines = ",\n".join(f"  {json.dumps(row)}" for row in document["strings"])
    return f'{head[:-2]},\n "strings": [\n{lines}\n ]\n}}\n'


if __name__ == "__main__":
    write_text(TABLE, text_of(table(assets.path(ASSET))))
