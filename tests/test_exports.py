"""The public names are exactly those of `__all__`, and each of them can be had."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import align_cli


def test_all_is_sorted_and_complete() -> None:
    public = {name for name, value in vars(align_cli).items() if not name.startswith("_") and not _is_module(value)}

    assert align_cli.__all__ == sorted(align_cli.__all__)
    assert public - {"annotations"} <= set(align_cli.__all__)
    assert all(hasattr(align_cli, name) for name in align_cli.__all__)


def test_the_version_is_the_distribution_s() -> None:
    assert align_cli.__version__ == version("align-cli")


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    script = "import align_cli, sys; print(sorted(m for m in sys.modules if m.startswith('align_cli.')))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def _is_module(value: object) -> bool:
    return type(value).__name__ == "module"
