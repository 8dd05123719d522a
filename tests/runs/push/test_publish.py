from __future__ import annotations

import pytest

from align_cli.errors import Interrupted, UsageError
from align_cli.runs.push import payload, publish
from align_cli.runs.reading.record import Record
from tests.runs import folders, hub_server


@pytest.mark.parametrize(("value", "private"), [(None, True), (True, True), (False, False)])
def test_a_model_is_private_unless_the_recipe_says_no(make_recipe, value, private):
    given = {} if value is None else {"hub_private_repo": value}

    assert publish.wish_of(make_recipe(**given)).is_private is private


def test_name_and_branch_are_the_recipes(make_recipe):
    wish = publish.wish_of(make_recipe(hub_model_id="me/model", hub_revision="v1"))

    assert wish == publish.Wish("me/model", "v1", True)


def test_what_is_only_of_use_here_stays(tmp_path):
    run = folders.finished(tmp_path / "a")
    folders.checkpoint(run, 5)
    (run / "later.gguf").write_text("later")

    load = payload.of(Record(run))

    assert [item.name for item in load.items] == [
        "README.md",
        "align/metrics.jsonl",
        "align/overrides.txt",
        "align/recipe.yaml",
        "config.json",
        "model.safetensors",
    ]
    assert load.stays == ["checkpoint-5", "later.gguf"]


def test_a_run_that_is_not_finished_is_not_pushed(tmp_path):
    run = folders.prepared(tmp_path / "a")

    with pytest.raises(UsageError, match="is prepared: only a finished run can be pushed"):
        publish.publish(run, publish.Wish("", None, True), say=print)


def test_a_branch_needs_a_sensible_name(tmp_path):
    run = folders.finished(tmp_path / "a")

    with pytest.raises(UsageError, match='"-x y" is no name of a branch'):
        publish.publish(run, publish.Wish("", "-x y", True), say=print)


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import close_session

    close_session()
    with hub_server.serve() as served:
        monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.endpoint)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield served
    close_session()


@pytest.mark.slow
def test_ctrl_c_leaves_the_run_as_it_was(tmp_path, hub):
    run = folders.finished(tmp_path / "a")
    before = (run / "align" / "manifest.json").read_bytes()
    hub.faults = [hub_server.Fault("repos/create", status=500)]

    def interrupt(seconds):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        publish.publish(run, publish.Wish("", None, True), say=lambda line: None, sleep=interrupt)

    assert "align model push" in caught.value.hint
    assert (run / "align" / "manifest.json").read_bytes() == before


@pytest.mark.slow
def test_a_run_that_may_only_be_read_is_pushed_all_the_same(tmp_path, hub, monkeypatch):
    run = folders.finished(tmp_path / "a")
    said = []

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    # Root, who runs tests in containers, may write anywhere.
    monkeypatch.setattr("align_cli.runs.manifest.write_json", refuse)
    done = publish.publish(run, publish.Wish("", None, True), say=said.append)

    assert done.repo == "me/a"
    assert said[-1].startswith("warning: pushed, but the manifest of")
