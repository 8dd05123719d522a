from __future__ import annotations

import json
from pathlib import Path

import pytest

from align_cli import worker
from align_cli.errors import UsageError


def test_a_folder_that_was_not_sealed_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="is not a run directory"):
        worker.run(tmp_path)


def test_a_recipe_changed_after_it_was_decided_is_refused(tmp_path: Path):
    ours = tmp_path / "align"
    ours.mkdir()
    (ours / "recipe.json").write_text("{}")
    (ours / "plan.json").write_text(json.dumps({"recipe_sha256": "0" * 64}))

    with pytest.raises(UsageError, match="was changed after it was decided"):
        worker.run(tmp_path)


def test_the_command_says_how_it_is_used(capsys: pytest.CaptureFixture[str]):
    assert worker.main([]) == 2
    assert "RUN_DIR" in capsys.readouterr().err
