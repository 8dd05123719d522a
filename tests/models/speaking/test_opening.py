from __future__ import annotations

import json
from pathlib import Path

import pytest

from align_cli.models.speaking.opening import can_converse
from tests.models.files import adapter_files
from tests.models.tiny import CHATML, tiny_model


@pytest.mark.parametrize(
    ("template", "architecture", "can"),
    [
        (CHATML, "LlamaForCausalLM", True),
        (None, "LlamaForCausalLM", False),
        (CHATML, "LlamaForSequenceClassification", False),
    ],
)
def test_a_model_with_a_template_that_is_no_classifier_can_converse(
    tmp_path: Path, template: str | None, architecture: str, can: bool
) -> None:
    folder = tiny_model(tmp_path / "m", template=template)
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))

    assert can_converse(folder) is can


@pytest.mark.parametrize(("task", "can"), [("CAUSAL_LM", True), ("SEQ_CLS", False)])
def test_an_adapter_says_itself_whether_it_scores(tmp_path: Path, task: str, can: bool) -> None:
    folder = adapter_files(tiny_model(tmp_path / "a"), "org/base", task_type=task)
    (folder / "config.json").unlink()

    assert can_converse(folder) is can
