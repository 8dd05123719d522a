from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from align_cli.errors import RecipeError, UsageError
from align_cli.recipe.decode import decode
from align_cli.recipe.schema import Mixture, Source
from align_cli.runs import directory
from align_cli.runs.checkpoints import seal as seal_checkpoint

MODEL = Path("/models/abc")


def checkpoint(folder: Path, step: int) -> Path:
    place = folder / f"checkpoint-{step}"
    place.mkdir()
    (place / "trainer_state.json").write_text("{}")
    seal_checkpoint(place, {})
    return place


def sealed(recipe, prepared) -> Path:
    run = directory.open_run(recipe)
    directory.seal(run, recipe, {"kind": "inline"}, prepared, MODEL)
    return run.path


def test_looking_at_a_new_folder_makes_nothing(tmp_path: Path, make_recipe):
    run = directory.open_run(make_recipe())

    assert run.state == "new"
    assert list(tmp_path.iterdir()) == []


def test_a_sealed_folder_holds_the_recipe_as_written_and_as_decided(make_recipe, make_prepared):
    recipe = make_recipe(text="# mine\noutput_dir: out\n")

    path = sealed(recipe, make_prepared())

    ours = path / "align"
    plan = json.loads((ours / "plan.json").read_text())
    assert (ours / "recipe.yaml").read_text() == "# mine\noutput_dir: out\n"
    assert (ours / "overrides.txt").read_text() == "learning_rate=1e-4\n"
    assert decode(json.loads((ours / "recipe.json").read_text())) == recipe
    assert plan["recipe_sha256"] == hashlib.sha256((ours / "recipe.json").read_bytes()).hexdigest()
    assert stat.S_IMODE((ours / "recipe.json").stat().st_mode) == 0o444
    assert json.loads((ours / "mixture.json").read_text())["digest"] == "m" * 64


def test_secrets_are_in_no_file_but_in_the_environment(make_recipe, make_prepared, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    secret = "0123456789abcdef-very-secret"
    recipe = make_recipe(text=f"env:\n  WANDB_API_KEY: {secret}\n", env={"WANDB_API_KEY": secret})

    path = sealed(recipe, make_prepared())

    files = [file for file in path.rglob("*") if file.is_file()]
    assert len(files) >= 6
    assert not [file for file in files if secret in file.read_text()]
    assert os.environ["WANDB_API_KEY"] == secret
    monkeypatch.delenv("WANDB_API_KEY")


def test_the_same_recipe_resumes_from_its_newest_checkpoint(make_recipe, make_prepared):
    path = sealed(make_recipe(), make_prepared())
    newest = checkpoint(path, 20)

    run = directory.open_run(make_recipe())

    assert (run.state, run.checkpoint) == ("resume", newest)


def test_without_a_checkpoint_the_same_recipe_begins_again_and_says_so(make_recipe, make_prepared):
    sealed(make_recipe(), make_prepared())

    run = directory.open_run(make_recipe())

    assert run.state == "new"
    assert "begins again" in str(run.notes[0])


def test_another_recipe_is_refused_with_every_difference(make_recipe, make_prepared):
    sealed(make_recipe(), make_prepared())
    other = make_recipe(learning_rate=2e-5, seed=7, mixture=Mixture(sources=(Source(path="other.jsonl"),)))

    with pytest.raises(RecipeError) as caught:
        directory.open_run(other)

    differences = {problem.where: problem.message for problem in caught.value.problems}
    assert differences == {
        "learning_rate": "was 0.0001, is now 2e-05",
        "seed": "was 42, is now 7",
        "mixture.sources.0.path": "was rows.jsonl, is now other.jsonl",
    }
    assert caught.value.exit_code == 2


def test_what_does_not_touch_the_training_may_change_and_is_noted(make_recipe, make_prepared):
    path = sealed(make_recipe(), make_prepared())
    checkpoint(path, 20)

    run = directory.open_run(make_recipe(save_steps=10, push_to_hub=True))

    assert run.state == "resume"
    assert {note.key for note in run.notes} == {"save_steps", "push_to_hub"}


def test_a_manifest_means_finished(make_recipe, make_prepared):
    path = sealed(make_recipe(), make_prepared())
    (path / "align" / "manifest.json").write_text("{}")

    assert directory.open_run(make_recipe()).state == "finished"


def test_restart_moves_the_old_folder_aside_only_when_the_new_run_begins(make_recipe, make_prepared):
    path = sealed(make_recipe(), make_prepared())
    (path / "model.safetensors").write_bytes(b"precious")

    run = directory.open_run(make_recipe(seed=1), restart=True)
    assert (path / "model.safetensors").exists()
    directory.seal(run, make_recipe(seed=1), {}, make_prepared(), MODEL)

    assert not (path / "model.safetensors").exists()
    assert (path.with_name("out.old-1") / "model.safetensors").read_bytes() == b"precious"


def test_resume_from_checkpoint_false_begins_anew_and_keeps_the_old_run(make_recipe, make_prepared):
    path = sealed(make_recipe(), make_prepared())
    checkpoint(path, 20)
    recipe = make_recipe(resume_from_checkpoint=False)

    run = directory.open_run(recipe)
    directory.seal(run, recipe, {}, make_prepared(), MODEL)

    assert run.state == "new"
    assert (path.with_name("out.old-1") / "checkpoint-20").is_dir()


def test_other_data_than_the_run_began_with_are_refused(make_recipe, make_prepared):
    path = sealed(make_recipe(), make_prepared("d1"))
    checkpoint(path, 20)
    run = directory.open_run(make_recipe())

    with pytest.raises(RecipeError, match="data are not those"):
        directory.seal(run, make_recipe(), {}, make_prepared("d2"), MODEL)
    with pytest.raises(RecipeError, match="model is not the one"):
        directory.seal(run, make_recipe(), {}, make_prepared("d1"), Path("/models/other"))


def test_the_same_model_in_a_moved_cache_is_the_same(make_recipe, make_prepared):
    path = sealed(make_recipe(), make_prepared())
    checkpoint(path, 20)
    run = directory.open_run(make_recipe())

    directory.seal(run, make_recipe(), {}, make_prepared(), Path("/elsewhere/abc"))

    assert json.loads((path / "align" / "plan.json").read_text())["model"] == "/elsewhere/abc"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "checkpoint-3"])
def test_a_folder_with_somebody_elses_model_is_refused(tmp_path: Path, make_recipe, name: str):
    (tmp_path / "out").mkdir()
    place = tmp_path / "out" / name
    place.mkdir() if name.startswith("checkpoint") else place.write_text("{}")

    with pytest.raises(UsageError, match="which align did not write"):
        directory.open_run(make_recipe())


def test_a_folder_with_unrelated_files_may_be_used(tmp_path: Path, make_recipe):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")

    assert directory.open_run(make_recipe()).state == "new"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path, make_recipe):
    (tmp_path / "out").write_text("")

    with pytest.raises(UsageError, match="is a file"):
        directory.open_run(make_recipe())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
def test_a_place_that_cannot_be_written_to_is_refused_before_any_work(make_recipe):
    with pytest.raises(UsageError, match="cannot be written to"):
        directory.open_run(make_recipe(output_dir="/proc/out"))


def test_the_folder_one_is_in_is_never_moved_aside(tmp_path: Path, make_recipe, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match="will not be moved aside"):
        directory.open_run(make_recipe(output_dir="."), restart=True)


def test_two_processes_cannot_share_a_run(make_recipe, make_prepared):
    path = sealed(make_recipe(), make_prepared())
    directory.release(path)
    program = (
        "import sys; from pathlib import Path; from align_cli.runs import directory\n"
        f"directory.lock(Path({str(path)!r})); print('ready', flush=True); sys.stdin.read()"
    )

    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(UsageError, match=f"another run is at work in .*process {other.pid}"):
            directory.open_run(make_recipe())
        with pytest.raises(UsageError, match="another run is at work"):
            directory.lock(path)
        other.kill()

    assert directory.open_run(make_recipe()).state == "new"  # the lock went with its holder


def test_another_batch_is_named_as_what_it_is(make_recipe, make_prepared):
    recipe = make_recipe()
    plan = {"kind": "workers", "num_processes": 2, "global_batch_size": 4}
    directory.seal(directory.open_run(recipe), recipe, plan, make_prepared(), MODEL)

    with pytest.raises(RecipeError, match="was begun with 4 rows a step, and now it is 2") as caught:
        directory.open_run(recipe, global_batch=2)

    assert "--num-processes 2" in caught.value.problems[0].hint
