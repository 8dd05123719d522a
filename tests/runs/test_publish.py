from __future__ import annotations

import pytest

from align_cli.runs import publish


def test_nothing_happens_unless_the_recipe_asks(tmp_path, make_recipe):
    assert publish.publish(tmp_path, make_recipe(), say=print) is None


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_is_one_line_without_the_token(tmp_path, make_recipe, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwxyz")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    recipe = make_recipe(push_to_hub=True, hub_model_id="me/model")

    with pytest.raises(publish.PublishFailed) as caught:
        publish.publish(tmp_path, recipe, say=lambda line: None)

    assert "\n" not in str(caught.value)
    assert "hf_abc" not in str(caught.value)
