"""A real plugin, installed from its own distribution into a folder of its own, and the real command beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import align_cli
from tests.cli.conftest import Done
from tests.end_to_end.conftest import tiny as tiny

SIMPO = Path(__file__).parent / "align-simpo"
ROOT = Path(align_cli.__path__[0]).parent

#: It has tests of its own, which need it installed; `test_how_to` runs them.
collect_ignore = ["align-simpo"]

Align = Callable[..., Done]
Start = Callable[..., "subprocess.Popen[str]"]


def install(distribution: Path, site: Path) -> Path:
    """Build the distribution and install its wheel into `site`, as pip does, without a network."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    argv = [*pip, "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site), str(distribution)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture(scope="session")
def simpo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that align-simpo is installed into."""
    return install(SIMPO, tmp_path_factory.mktemp("site"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: the plugin's recipe and its pairs."""
    monkeypatch.chdir(tmp_path)
    for name in ("simpo.yaml", "pairs.jsonl"):
        shutil.copy(SIMPO / name, tmp_path)
    return tmp_path


@pytest.fixture
def start(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """`start(site, *words)` starts `align` in `place`, in a process group of its own, seeing what `site` holds."""
    cache = tmp_path_factory.mktemp("cache")

    def started(site: Path, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        variables = {
            **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")},
            "ALIGN_CACHE": str(cache),
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
            **(env or {}),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "align_cli", *words],
            cwd=place, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    return started


@pytest.fixture
def run(start: Start) -> Align:
    """`run(site, *words)` as `start`, to its end."""

    def ran(site: Path, *words: str, env: Mapping[str, str] | None = None) -> Done:
        process = start(site, *words, env=env)
        out, err = process.communicate(timeout=300)
        return Done(process.returncode, out, err)

    return ran
