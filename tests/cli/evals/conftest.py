"""A small benchmark in a package of its own, a server that answers and judges, and the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import align_cli
from tests.cli.conftest import Align, Done
from tests.evals.endpoint import Received, Reply, Server, said, serving

ROOT = Path(align_cli.__path__[0]).parent
BRIEF = ROOT / "tests" / "plugin" / "align-brief"
NUM_TURNS = 4  # of the benchmark brief: one question of two turns, two of one

Start = Callable[..., "subprocess.Popen[str]"]


def answering_and_judging(request: Received) -> Reply:
    """Who is called `judge` judges, everybody else answers."""
    if request.document["model"] != "judge":
        return said(f"About {request.words[:20]}")
    return said(f"It is short. Score: {len(request.words) % 5 + 1}")


@pytest.fixture
def server() -> Iterator[Server]:
    """It has a model and a judge."""
    with serving(answering_and_judging) as running:
        yield running


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the benchmark is installed: its files, and what an installer writes about them."""
    place = tmp_path_factory.mktemp("site")
    (place / "align_brief").symlink_to(BRIEF / "align_brief")
    about = place / "align_brief-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: align-brief\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[align.benchmarks]\nbrief = align_brief:BENCHMARK\n")
    return place


@pytest.fixture
def brief(align_here: Align, site: Path, monkeypatch: pytest.MonkeyPatch) -> Align:
    """`brief(*words)` runs `align eval brief` with these words."""
    monkeypatch.syspath_prepend(str(site))

    def run(*words: str, **env: str | None) -> Done:
        return align_here("eval", "brief", *words, **{**_environment(site), **env})

    return run


@pytest.fixture
def start(site: Path, tmp_path: Path, cache: Path) -> Start:
    """`start(*words)` starts `align eval brief` and does not wait for it."""

    def started(*words: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "align_cli", "eval", "brief", *words],
            cwd=tmp_path,
            env={**os.environ, **_environment(site), "ALIGN_CACHE": str(cache), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    return started


def _environment(site: Path) -> dict[str, Any]:
    return {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}
