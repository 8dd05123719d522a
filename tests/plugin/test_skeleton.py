"""What `align task new` writes installs, passes its own tests, and trains as it is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import losses_of
from tests.plugin.conftest import ROOT, Align, install

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("like", ["sft", "dpo"])
def test_it_passes_its_own_tests_and_trains_as_written(
    like: str, run: Align, tiny: Path, place: Path, tmp_path_factory: pytest.TempPathFactory
):
    site = tmp_path_factory.mktemp("site")
    assert run(site, "task", "new", "warm", "--like", like).code == 0
    install(place / "align-warm", site)

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "align-warm"],
        cwd=place, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"},
        check=False,
    )  # fmt: skip
    wrong = run(site, "recipe", "check", "align-warm/warm.yaml", "--json")
    trained = run(site, "train", "warm", "align-warm/warm.yaml", f"model_name_or_path={tiny}", "learning_rate=1e-2")

    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert wrong.document[0]["task"] == "warm"
    assert wrong.document[0]["problems"] == []
    assert trained.code == 0, trained.err
    out = place / "runs" / "warm"
    manifest = json.loads((out / "align" / "manifest.json").read_text())
    assert losses_of(out)[-1] < losses_of(out)[0]
    assert manifest["facts"]["plugin"] == {"package": "align-warm", "version": "0.1.0"}
    assert "eval_loss" in manifest["metrics"]


def test_without_focus_it_is_supervised_fine_tuning(
    run: Align, tiny: Path, place: Path, tmp_path_factory: pytest.TempPathFactory
):
    """The loss of somebody's own for each token, at the value that makes it the usual one, gives the usual numbers."""
    site = tmp_path_factory.mktemp("site")
    assert run(site, "task", "new", "warm").code == 0
    install(place / "align-warm", site)
    plain = [line for line in (place / "align-warm" / "warm.yaml").read_text().splitlines() if "warm_" not in line]
    (place / "align-warm" / "plain.yaml").write_text("\n".join(plain))
    words = (f"model_name_or_path={tiny}", "learning_rate=1e-2", "gradient_accumulation_steps=2")

    ours = run(site, "train", "warm", "align-warm/warm.yaml", *words, "warm_focus=0", "output_dir=ours")
    theirs = run(site, "train", "sft", "align-warm/plain.yaml", *words, "output_dir=theirs")

    assert (ours.code, theirs.code) == (0, 0), ours.err + theirs.err
    assert losses_of(place / "ours") == pytest.approx(losses_of(place / "theirs"), abs=1e-6)
