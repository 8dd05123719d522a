from __future__ import annotations

from pathlib import Path

import yaml

from align_cli.runs import card
from align_cli.runs.directory import OURS, PREPARATION

FACTS = {"parameters": {"trained": 10, "total": 100}, "steps": 5, "tokens": 1234}


def front(text: str) -> dict:
    return yaml.safe_load(text.split("---")[1])


def test_the_card_says_what_the_model_was_made_of(make_recipe, make_prepared):
    text = card.text("out", make_recipe(), make_prepared().report, {"eval_loss": 1.5}, FACTS)

    assert front(text)["base_model"] == "org/base"
    assert front(text)["datasets"] == ["org/chat"]
    assert "| chat | 10 | 8 |" in text
    assert "100 tokens, 40% of them in the loss." in text
    assert "learning_rate: 0.0001" in text
    assert "| Evaluation loss | 1.5000 |" in text
    assert "5 steps, 1,234 tokens" in text


def test_local_places_are_not_told(tmp_path: Path, make_recipe, make_prepared):
    recipe = make_recipe(model_name_or_path=str(tmp_path / "secret-project" / "base"))

    text = card.text("out", recipe, make_prepared().report, {}, {})

    assert str(tmp_path) not in text
    assert "base_model" not in front(text)


def test_a_handbook_recipe_keeps_its_tag(make_recipe, make_prepared):
    text = card.text("out", make_recipe(profile="handbook-2023"), make_prepared().report, {}, {})

    assert "alignment-handbook" in front(text)["tags"]


def test_a_secret_of_the_recipe_is_not_in_the_card(tmp_path: Path, make_recipe, make_prepared):
    (tmp_path / OURS).mkdir()
    (tmp_path / OURS / PREPARATION).write_text("{}")
    recipe = make_recipe(env={"WANDB_API_KEY": "do-not-tell-anyone"}, run_name="do-not-tell-anyone")

    card.write(tmp_path, recipe, metrics={}, facts={})

    assert "do-not-tell-anyone" not in (tmp_path / "README.md").read_text()
