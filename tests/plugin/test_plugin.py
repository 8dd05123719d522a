"""A task of another package does everything that a task of ours does, by the same commands."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.end_to_end.conftest import curve, losses_of, wait_for
from tests.models.tiny import tiny_model
from tests.plugin.conftest import Align, Start


def test_it_is_listed_with_the_package_it_comes_from(run: Align, simpo: Path):
    rows = {row["name"]: row for row in run(simpo, "task", "ls", "--json").document}

    assert rows["simpo"]["from"] == "align-simpo"
    assert rows["simpo"]["rows"] == ["preference"]
    assert rows["simpo"]["problem"] == ""
    assert rows["dpo"]["from"] == "align"


def test_without_the_package_it_is_unknown(run: Align, tmp_path: Path):
    done = run(tmp_path, "task", "show", "simpo")

    assert done.code == 2
    assert 'there is no task "simpo"' in done.err


def test_its_keys_are_its_own_and_those_of_training_on_pairs(run: Align, simpo: Path):
    keys = {key["name"]: key for key in run(simpo, "task", "show", "simpo", "--json").document}

    assert keys["simpo_gamma"] | {"help": ""} == {
        "name": "simpo_gamma", "type": "float", "default": 1.0, "default_is_computed": False, "choices": [],
        "group": "other", "defined_in": "align_simpo.task:SimPOFields", "help": "",
    }  # fmt: skip
    assert keys["beta"]["default"] == 2.0
    assert {"learning_rate", "max_length", "use_peft", "chat_template"} <= set(keys)
    assert not {"loss_weights", "sync_ref_model", "ref_model_name_or_path"} & set(keys)


def test_it_says_what_the_values_of_a_key_mean(run: Align, simpo: Path):
    shown = run(simpo, "task", "show", "simpo", "loss_type").out

    assert "sigmoid" in shown
    assert "a pair beyond the margin costs nothing" in shown


def test_a_dry_run_needs_no_torch_and_shows_its_defaults(run: Align, simpo: Path):
    done = run(simpo, "train", "simpo", "simpo.yaml", "--dry-run", "--json", env={"PYTHONPROFILEIMPORTTIME": "1"})

    recipe = done.document["recipe"]
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert recipe["values"]["simpo_gamma"] == {"value": 1.25, "origin": "simpo.yaml:10", "kind": "file"}
    assert recipe["defaults"]["loss_type"] == "sigmoid"
    assert "align_cli.plugins" in loaded
    assert not {"torch", "transformers", "trl", "datasets"} & loaded


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("simpo_gama=1", "did you mean simpo_gamma?"),
        ("simpo_gamma=-1", "a negative margin rewards the rejected answer"),
        ("simpo_gamma=wide", 'simpo_gamma=wide: expected a number, not "wide"'),
        ("loss_type=hing", "did you mean hinge?"),
        ("sync_ref_model=true", "a key of dpo and kto, not of simpo"),
    ],
)
def test_a_mistake_in_its_recipe_is_told_before_any_work(word: str, said: str, run: Align, simpo: Path):
    done = run(simpo, "train", "simpo", "simpo.yaml", word)

    assert done.code == 2
    assert said in " ".join(done.err.split())


def test_checking_recipes_finds_its_task_by_its_name_and_keeps_its_rules(run: Align, simpo: Path, place: Path):
    (place / "bad-simpo.yaml").write_text((place / "simpo.yaml").read_text().replace("gamma: 1.25", "gamma: 9"))

    rows = run(simpo, "recipe", "check", "simpo.yaml", "bad-simpo.yaml", "--json").document

    assert [row["task"] for row in rows] == ["simpo", "simpo"]
    assert rows[0]["problems"] == []
    assert rows[1]["problems"] == [
        {
            "where": "bad-simpo.yaml:10",
            "message": "simpo_gamma (9) is more than twice beta (2.5): rewards hardly get that far apart",
            "hint": "simpo_gamma: 1.25",
        }
    ]


def test_its_mixture_is_built_and_shown_as_pairs(run: Align, simpo: Path, place: Path):
    model = tiny_model(place / "model")

    document = run(simpo, "mix", "simpo.yaml", f"model_name_or_path={model}", "--head", "1", "--json").document

    assert document["task"] == "simpo"
    assert document["tokens"]["unit"] == "pairs"
    assert document["tokens"]["sequences"] == {"train": 16, "eval": 4}


@pytest.mark.slow
def test_it_trains_to_the_end_and_plain_transformers_opens_the_model(run: Align, simpo: Path, tiny: Path, place: Path):
    from transformers import AutoModelForCausalLM

    done = run(simpo, "train", "simpo", "simpo.yaml", f"model_name_or_path={tiny}", "--json")

    assert done.code == 0, done.err
    logged = curve(place / "out")
    manifest = json.loads((place / "out" / "align" / "manifest.json").read_text())
    assert done.document["task"] == "simpo"
    assert losses_of(place / "out")[-1] < losses_of(place / "out")[0]
    assert logged[-3]["rewards/margins"] > logged[0]["rewards/margins"]
    assert manifest["task"] == "simpo"
    assert manifest["facts"]["plugin"] == {"package": "align-simpo", "version": "0.3.0"}
    assert manifest["facts"]["cpu_rows_end_to_end"]
    assert {"eval_loss", "eval_rewards/accuracies"} <= set(manifest["metrics"])
    assert AutoModelForCausalLM.from_pretrained(place / "out").config.model_type == "llama"


@pytest.mark.slow
def test_killed_and_started_again_it_ends_as_if_nothing_had_happened(
    start: Start, run: Align, simpo: Path, tiny: Path, place: Path
):
    words = ("train", "simpo", "simpo.yaml", f"model_name_or_path={tiny}", "num_train_epochs=12")
    whole = run(simpo, *words, "output_dir=whole")
    assert whole.code == 0, whole.err

    first = start(simpo, *words)
    wait_for(place / "out" / "checkpoint-9" / "align.json")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert not (place / "out" / "align" / "manifest.json").exists()
    again = run(simpo, *words)

    assert again.code == 0, again.err
    assert "resuming from checkpoint-" in again.err
    assert curve(place / "out") == curve(place / "whole")
    ours, theirs = (place / name / "model.safetensors" for name in ("out", "whole"))
    assert ours.read_bytes() == theirs.read_bytes()
    assert "finished" in run(simpo, *words).out
