from __future__ import annotations

import os
import subprocess
import sys

import pytest

from align_cli.launch.host import Gpu, Host, _visible, inspect


def test_this_machine_has_cores_and_memory():
    host = inspect()

    assert 1 <= host.cpus <= (os.cpu_count() or 1)
    assert host.memory_bytes > 0
    assert host.device in ("cpu", "cuda", "mps")


def test_looking_imports_nothing_heavy():
    code = (
        "import sys; from align_cli.launch.host import inspect; inspect();"
        "print([n for n in ('torch', 'transformers', 'trl', 'accelerate', 'datasets') if n in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


A, B = ("GPU-aaa", Gpu("A", 1, (9, 0))), ("GPU-bbb", Gpu("B", 1, (9, 0)))


@pytest.mark.parametrize(
    ("setting", "kept"),
    [(None, [A, B]), ("", []), ("1", [B]), ("1,0", [B, A]), ("GPU-b", [B]), ("0,7,1", [A]), ("-1", [])],
)
def test_only_visible_gpus_count(setting, kept):
    assert _visible([A, B], setting) == kept


def test_a_host_is_json():
    host = Host(cpus=1, memory_bytes=2, gpus=(Gpu("A", 1, (9, 0)),), packages=frozenset({"b", "a"}))

    assert host.as_dict()["packages"] == ["a", "b"]
    assert host.as_dict()["device"] == "cuda"
