"""`align model push` against a Hub on the loopback, as the real command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Done
from tests.runs import folders
from tests.runs.hub_server import TOKEN, Fault, Hub, Repository, serve

pytestmark = pytest.mark.slow
Push = Callable[..., Done]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as served:
        yield served


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with everything beside it that must not be sent."""
    run = folders.finished(tmp_path / "runs" / "a")
    (run / "training_args.bin").write_bytes(b"pickled")
    (run / "notes.txt").write_text("mine")
    (run / "runs").mkdir()
    folders.checkpoint(run, 40)
    return run


@pytest.fixture
def push(tmp_path: Path, align, hub: Hub) -> Push:
    def call(*words: str, **env: str | None) -> Done:
        there = {
            "HF_TOKEN": TOKEN, "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": None, "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path / "hf"), "HUGGING_FACE_HUB_TOKEN": None,
        }  # fmt: skip
        done = align("model", "push", *words, **{**there, **env})
        assert TOKEN not in done.out + done.err
        assert "Traceback" not in done.err
        return done

    return call


def manifest(run: Path) -> dict:
    return json.loads((run / "align" / "manifest.json").read_text())


def test_model_card_and_recipe_are_sent_privately_and_the_rest_stays(run, hub, push):
    done = push("a", "--json")

    assert done.code == 0, done.err
    assert set(hub.files("me/a")) == {
        "README.md",
        "config.json",
        "model.safetensors",
        "align/recipe.yaml",
        "align/overrides.txt",
        "align/metrics.jsonl",
    }
    assert hub.files("me/a")["model.safetensors"] == (run / "model.safetensors").read_bytes()
    assert hub.repositories["me/a"].private is True
    assert done.document["address"] == f"{hub.endpoint}/me/a"
    assert done.document["stays"] == ["checkpoint-40", "notes.txt", "runs", "training_args.bin"]
    assert len(hub.repositories["me/a"].commits) == 1


def test_the_address_is_in_the_manifest_and_the_token_is_not(run, hub, push):
    push("a")

    document = manifest(run)
    assert document["published"] == f"{hub.endpoint}/me/a"
    assert document["publication"]["commit"] == hub.repositories["me/a"].commits[0]
    assert document["task"] == "sft"
    assert TOKEN not in (run / "align" / "manifest.json").read_text()


def test_a_second_push_sends_nothing_and_makes_no_commit(run, hub, push):
    push("a")
    requests = len(hub.requests)

    again = push("a")

    assert again.code == 0
    assert "nothing: everything was there already" in again.out
    assert len(hub.repositories["me/a"].commits) == 1
    assert not any("PUT" in request for request in hub.requests[requests:])


def test_only_what_changed_is_sent_again(run, hub, push):
    push("a")
    (run / "align" / "metrics.jsonl").write_text("")

    done = push("a", "--json")

    assert done.document["sent"] == ["align/metrics.jsonl"]
    assert hub.asked("PUT /objects/") == 1


def test_what_an_interrupted_push_has_sent_is_not_sent_again(run, hub, push):
    hub.faults = [Fault(r"/commit/", status=403, message="not now")]
    first = push("a")

    second = push("a")

    assert (first.code, second.code) == (2, 0)
    assert hub.asked("PUT /objects/") == 1


def test_name_branch_and_readers_may_be_chosen(run, hub, push):
    done = push("a", "lab/zephyr", "--revision", "v1.0", "--public", "--json")

    assert done.code == 0, done.err
    assert hub.repositories["lab/zephyr"].private is False
    assert "model.safetensors" in hub.files("lab/zephyr", "v1.0")
    assert hub.files("lab/zephyr", "main") == {}
    assert done.document["address"] == f"{hub.endpoint}/lab/zephyr/tree/v1.0"


def test_the_recipe_decides_where_nobody_else_does(tmp_path, hub, push):
    folders.finished(tmp_path / "runs" / "b", hub_model_id="lab/named", hub_private_repo=False, hub_revision="dev")

    assert push("b").code == 0
    assert hub.repositories["lab/named"].private is False
    assert "config.json" in hub.files("lab/named", "dev")


def test_a_public_repository_that_was_there_is_warned_of(run, hub, push):
    hub.repositories["me/a"] = Repository(private=False)

    done = push("a")

    assert done.code == 0
    assert "warning: me/a was there already and is public" in done.err


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("whoami", status=429, headers={"Retry-After": "1"}), "another try in 1 s"),
        (Fault("repos/create", status=500), "another try in 1 s"),
        (Fault("repos/create", drops=True), "another try in 1 s"),
        (Fault("/tree/", status=503), ""),
        (Fault("/preupload/", status=429, headers={"Retry-After": "0"}), "the Hub asks to wait 1 s"),
        (Fault("PUT /objects/", drops=True), ""),
        (Fault("/commit/", status=500), "another try in 1 s"),
        (Fault("/commit/", drops=True), "another try in 1 s"),
        (Fault("validate-yaml", status=502), "another try in 1 s"),
    ],
    ids=str,
)
def test_what_passes_is_waited_for(run, hub, push, fault, said):
    hub.faults = [fault]

    done = push("a")

    assert done.code == 0, done.err
    assert said in done.err
    assert "model.safetensors" in hub.files("me/a")


def test_a_commit_whose_answer_was_lost_is_not_made_twice(run, hub, push):
    hub.faults = [Fault("/commit/", drops=True, after=True)]

    done = push("a", "--json")

    assert done.code == 0, done.err
    assert len(hub.repositories["me/a"].commits) == 1
    assert done.document["commit"] == hub.repositories["me/a"].commits[0]
    assert "model.safetensors" in done.document["sent"]


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (Fault("whoami", status=429, headers={"Retry-After": "3600"}, times=9), 6, "it asks to wait 3,600 s"),
        (Fault("repos/create", status=402, message="pay first", times=9), 2, "asks for payment"),
        (Fault("/commit/", status=403, message="quota exceeded", times=9), 2, "quota exceeded"),
        (Fault("/commit/", status=400, message="bad file", times=9), 6, "bad file"),
    ],
    ids=str,
)
def test_what_does_not_pass_is_a_line(run, hub, push, fault, code, said):
    hub.faults = [fault]

    done = push("a")

    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert manifest(run)["published"] is None


def test_no_token_is_said_before_anything_is_asked(run, hub, push):
    done = push("a", HF_TOKEN=None)

    assert done.code == 2
    assert "there is no token for the Hub" in done.err
    assert hub.requests == []


def test_a_wrong_token_is_said_with_its_place(run, hub, push):
    done = push("a", HF_TOKEN="hf_wrongwrongwrongwrongwrong")

    assert done.code == 2
    assert "the Hub does not accept the token in HF_TOKEN" in done.err
    assert "hf_wrong" not in done.err
    assert hub.requests == ["GET /api/whoami-v2"]


def test_a_stored_token_is_used_and_named_by_its_place(run, hub, push, tmp_path):
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_storedstoredstoredstored")

    done = push("a", HF_TOKEN=None)

    assert "the token that hf auth login has stored" in done.err
    assert "hf_stored" not in done.err


def test_a_token_that_may_only_read_is_said_before_anything_is_made(run, hub, push):
    hub.role = "read"

    done = push("a")

    assert done.code == 2
    assert "may only read" in done.err
    assert hub.repositories == {}


def test_somebody_elses_name_is_refused(run, hub, push):
    done = push("a", "stranger/model")

    assert done.code == 2
    assert "the token of me may not write to stranger/model" in done.err
    assert "me/model" in done.err
    assert hub.asked("preupload") == 0


def test_somebody_elses_repository_is_refused_and_nothing_is_sent(run, hub, push):
    hub.repositories["stranger/model"] = Repository(private=False)

    done = push("a", "stranger/model")

    assert done.code == 2
    assert "may not write to stranger/model" in done.err
    assert hub.asked("PUT") == 0


@pytest.mark.parametrize(("variables", "said"), [
    ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "the Hub cannot be reached"),
])  # fmt: skip
def test_offline_is_said_at_once(run, hub, push, variables, said):
    done = push("a", **variables)

    assert done.code == 6
    assert said in done.err
    assert "another try" not in done.err


@pytest.mark.parametrize("name", ["a b", "a/b/c", "-x", "x.git", "a--b"])
def test_a_name_that_is_none_is_refused_without_asking(run, hub, push, name):
    done = push("a", "--", name)

    assert done.code == 2
    assert "is no name of a repository" in done.err
    assert hub.requests == []


def test_an_unfinished_run_is_refused(tmp_path, hub, push):
    folders.prepared(tmp_path / "runs" / "b", lines=folders.falling(steps=10))

    done = push("b")

    assert done.code == 2
    assert "runs/b is interrupted: only a finished run can be pushed" in done.err


def test_public_and_private_at_once_are_a_mistake(run, hub, push):
    done = push("a", "--public", "--private")

    assert done.code == 2
    assert "contradict each other" in done.err
    assert not hub.repositories


def test_changed_files_are_refused_unless_they_are_meant(run, hub, push):
    (run / "model.safetensors").write_bytes(b"x" * 700)

    refused, meant = push("a"), push("a", "--as-is")

    assert refused.code == 3
    assert "model.safetensors: changed: its content is another one" in refused.err
    assert meant.code == 0
    assert hub.files("me/a")["model.safetensors"] == b"x" * 700


def test_a_card_that_was_edited_goes_as_it_is(run, hub, push):
    (run / "README.md").write_text("# By hand\n")

    done = push("a")

    assert done.code == 0, done.err
    assert "the model card was changed after training" in done.err
    assert hub.files("me/a")["README.md"] == b"# By hand\n"


def test_the_card_loads_from_where_it_was_pushed_to(run, hub, push):
    (run / "README.md").write_text('pipeline("text-generation", model="PATH_TO_THIS_FOLDER")\n')

    first, again = push("a", "lab/zephyr"), push("a", "lab/zephyr")

    assert (first.code, again.code) == (0, 0)
    assert hub.files("lab/zephyr")["README.md"] == b'pipeline("text-generation", model="lab/zephyr")\n'
    assert len(hub.repositories["lab/zephyr"].commits) == 1
    assert "PATH_TO_THIS_FOLDER" in (run / "README.md").read_text()


def test_a_card_that_the_hub_refuses_is_said(run, hub, push):
    hub.faults = [Fault("validate-yaml", status=400, message="bad licence")]

    done = push("a")

    assert done.code == 2
    assert "the Hub refuses the model card: - bad licence" in done.err
    assert hub.asked("PUT") == 0


def test_an_adapter_on_a_local_base_is_warned_of(run, hub, push, tmp_path):
    document = manifest(run)
    (tmp_path / "base").mkdir()
    (run / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path / "base")}))

    done = push("a")

    assert document["published"] is None
    assert "a folder of this machine, as its base" in done.err


def test_errors_are_json_where_the_result_would_be(run, hub, push):
    done = push("a", "stranger/model", "--json")

    assert done.error["exit_code"] == 2
    assert done.out == ""
