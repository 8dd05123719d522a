"""Recipes for jobs, and stand-ins for Slurm's commands and for align that record how they were called."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from align_cli import registry
from align_cli.launch.block import settled
from align_cli.recipe.load import load
from align_cli.recipe.schema import Recipe

#: Each writes its words, NUL between them, into a file of its own under $RECORD.
_COMMANDS = {
    "scontrol": """
printf '%s\\0' "$@" >> "$RECORD/scontrol-$1"
[[ $1 != show ]] || printf 'node-a\\nnode-b\\n'
""",
    "scancel": """
printf '%s\\0' "$@" > "$RECORD/scancel"
kill -TERM $(cat "$RECORD"/pid-*)
""",
    "align": """
printf '%s\\0' "$PWD" "$@" > "$RECORD/align-$SLURM_NODEID"
[[ -n $READY ]] || exit "${ENDS:-0}"
echo $$ > "$RECORD/pid-$SLURM_NODEID"
trap 'kill $! 2>/dev/null; echo > "$RECORD/saved-$SLURM_NODEID"; exit 143' TERM
sleep 60 &
echo > "$READY"
wait $!
""",
    "module": 'printf \'%s\\0\' "$@" > "$RECORD/module"',
}

#: As the real one does, it outlives a TERM and ends with its tasks, with their highest exit code.
_SRUN = f"""#!{sys.executable}
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: None)
words = sys.argv[1:]
with open(os.environ["RECORD"] + "/srun", "w") as file:
    file.write("".join(word + chr(0) for word in words))
while words[0].startswith("--"):
    words.pop(0)
nodes = range(int(os.environ["SLURM_JOB_NUM_NODES"]))
tasks = [subprocess.Popen(words, env={{**os.environ, "SLURM_NODEID": str(node)}}) for node in nodes]
sys.exit(max(task.wait() for task in tasks))
"""


@dataclass(frozen=True)
class Cluster:
    """A folder of stand-ins, and what they wrote."""

    record: Path
    env: dict[str, str]

    def words(self, name: str) -> list[str]:
        return (self.record / name).read_text(encoding="utf-8").split("\0")[:-1]

    def has(self, name: str) -> bool:
        return (self.record / name).exists()

    def start(self, script: str, **env: str) -> subprocess.Popen[str]:
        file = self.record / "job.sh"
        file.write_text(script, encoding="utf-8")
        pipe = subprocess.PIPE
        argv, environment = ["bash", str(file)], {**self.env, **env}
        return subprocess.Popen(
            argv,
            env=environment,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,  # a group to signal
        )

    def run(self, script: str, **env: str) -> tuple[int, str]:
        process = self.start(script, **env)
        out, err = process.communicate(timeout=30)
        return process.returncode, out + err


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    record, commands = tmp_path / "record", tmp_path / "bin"
    record.mkdir()
    commands.mkdir()
    scripts = {name: f"#!/bin/bash\n{text}" for name, text in _COMMANDS.items()}
    for name, text in {**scripts, "srun": _SRUN}.items():
        file = commands / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)
    env = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "RECORD": str(record),
        "READY": "",
        "SLURM_JOB_ID": "123456",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "node-[a-b]",
    }
    return Cluster(record, env)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """`recipe(text, *overrides)`: a file with a blank in its path, loaded and settled."""
    folder = tmp_path / "my work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def made(text: str = "", *words: str) -> Recipe:
        least = "model_name_or_path: some/model\nmixture:\n  sources: [some/data]\n"
        (folder / "my recipe.yaml").write_text(least + text, encoding="utf-8")
        return settled(load(["my recipe.yaml", *words], registry.get(registry.TASKS, "sft")))

    return made
