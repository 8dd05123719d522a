"""The real command in a process of its own, in an empty folder with an empty cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from align_cli.cli import app

ROWS = [
    {"messages": [{"role": "user", "content": f"What is {n} + {n}?"}, {"role": "assistant", "content": str(2 * n)}]}
    for n in range(12)
]

RECIPE = """\
# A recipe for tests.
model_name_or_path: org/model
mixture:
  sources:
    - path: rows.jsonl
  held_out: 2
learning_rate: 1e-4
per_device_train_batch_size: 2
num_train_epochs: 1
output_dir: out
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)


Align = Callable[..., Done]


@pytest.fixture
def align(tmp_path: Path, cache: Path) -> Align:
    """`align(*words)` runs in `tmp_path`; keywords are environment variables, None removes one."""

    def run(*words: str, **env: str | None) -> Done:
        variables = {**os.environ, "ALIGN_CACHE": str(cache), "HF_HUB_OFFLINE": "1", **env}
        for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
            if name not in env:
                variables.pop(name, None)
        done = subprocess.run(
            [sys.executable, "-m", "align_cli", *words],
            cwd=tmp_path,
            env={name: value for name, value in variables.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def align_here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Align:
    """As `align`, in this process: many times as fast, for what is not about how a process starts and ends."""

    def run(*words: str, **env: str | None) -> Done:
        with monkeypatch.context() as patch, Path(os.devnull).open(encoding="utf-8") as nothing:
            patch.chdir(tmp_path)
            patch.setattr(sys, "stdin", nothing)
            without = dict.fromkeys(("COLUMNS", "FORCE_COLOR", "NO_COLOR"))
            for name, value in {**without, "ALIGN_CACHE": str(cache), "HF_HUB_OFFLINE": "1", **env}.items():
                if value is None:
                    patch.delenv(name, raising=False)
                else:
                    patch.setenv(name, value)
            with _caught(1, "stdout") as out, _caught(2, "stderr") as err:
                code = app.run(list(words))
        return Done(code, out(), err())

    return run


@contextmanager
def _caught(descriptor: int, name: str) -> Iterator[Callable[[], str]]:
    """What is written to a descriptor and to its stream; a function that reads it afterwards."""
    written: list[str] = []
    with tempfile.TemporaryFile() as file:
        saved, stream = os.dup(descriptor), getattr(sys, name)
        os.dup2(file.fileno(), descriptor)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as ours:
                setattr(sys, name, ours)
                yield lambda: written[0]
        finally:
            setattr(sys, name, stream)
            os.dup2(saved, descriptor)
            os.close(saved)
            file.seek(0)
            written.append(file.read().decode())


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all commands: reading upstream's fields once is enough."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """`r.yaml` and its data in the working directory."""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path
