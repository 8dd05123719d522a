"""What a short command must never import: each of these costs seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.runs import folders

HEAVY = {
    "torch", "transformers", "trl", "peft", "accelerate", "datasets", "pyarrow", "numpy", "pandas", "matplotlib",
    "huggingface_hub",
}  # fmt: skip

COMMANDS = {
    "help": ["--help"],
    "task help": ["train", "sft", "--help"],
    "dry run": ["train", "sft", "r.yaml", "--dry-run"],
    "dry run as JSON": ["train", "sft", "r.yaml", "--dry-run", "--json"],
    "recipe check": ["recipe", "check", "r.yaml", "--task", "sft"],
    "recipe show": ["recipe", "show", "r.yaml", "--task", "sft"],
    "task ls": ["task", "ls"],
    "doctor": ["doctor"],
    "launch ls": ["launch", "ls"],
    "launch env": ["launch", "env"],
    "launch slurm": ["launch", "slurm", "r.yaml", "--task", "sft", "--gpus-per-node", "8", "--dry-run"],
    "runs ls": ["runs", "ls"],
    "runs show": ["runs", "show", "run"],
    "runs show --curves": ["runs", "show", "run", "--curves"],
    "runs diff": ["runs", "diff", "run", "run"],
}

PROBE = """
import sys
sys.argv = ["align", *sys.argv[1:]]
from align_cli.__main__ import main
code = main()
sys.stderr.write("\\nMODULES " + " ".join(sorted(name for name in sys.modules if "." not in name)))
sys.exit(code)
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_short_command_imports_nothing_heavy(recipe, tmp_path, name):
    folders.finished(tmp_path / "run")

    done = subprocess.run(
        [sys.executable, "-c", PROBE, *COMMANDS[name]], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    modules = set(done.stderr.rpartition("MODULES ")[2].split())
    assert "align_cli" in modules
    assert modules & HEAVY == set()


@pytest.mark.parametrize("name", ["task help", "dry run as JSON"])
def test_help_and_json_do_without_the_table_renderer(recipe, tmp_path, name):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *COMMANDS[name]], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    modules = set(done.stderr.rpartition("MODULES ")[2].split())
    assert modules & {"rich", "pydantic", "omegaconf"} == set()
