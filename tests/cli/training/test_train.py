from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Align


def test_a_dry_run_shows_values_with_their_origin_and_writes_nothing(align: Align, recipe: Path, tmp_path: Path):
    before = sorted(tmp_path.iterdir())

    done = align("train", "sft", "r.yaml", "--dry-run", "max_length=64", "--seed", "7")

    assert done.code == 0
    assert done.err == ""
    lines = [line.split() for line in done.out.splitlines()]
    assert ["learning_rate", "0.0001", "r.yaml:7"] in lines
    assert ["max_length", "64", "max_length=64"] in lines
    assert ["seed", "7", "--seed", "7"] in lines
    assert ["packing", "false", "default"] in lines
    assert sorted(tmp_path.iterdir()) == before


def test_a_dry_run_of_a_restart_says_that_the_old_run_is_moved_aside(align: Align, recipe: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").touch()

    said = [
        note["message"]
        for note in align("train", "sft", "r.yaml", "--dry-run", "--restart", "--json").document["notes"]
    ]

    assert "a run would move what out holds aside, and begin anew (--restart)" in said
    assert (tmp_path / "out" / "old.txt").exists()


def test_a_shipped_recipe_s_places_are_in_a_file(align: Align):
    done = align("train", "kto", "smollm2-135m/kto/laptop", "--dry-run")

    assert "  laptop.yaml:" in done.out


@pytest.mark.parametrize(("dora", "loader"), [(True, "peft"), (False, "transformers")])
def test_what_loads_a_model_is_said_truthfully(dora: bool, loader: str, tmp_path: Path):
    from align_cli.cli.training.running import _next
    from align_cli.recipe.load import load
    from align_cli.tasks import sft

    words = ["model_name_or_path=m", "dataset_name=rows.jsonl", "use_peft=true", f"use_dora={dora}"]

    assert _next(tmp_path, load(words, sft.TASK))[1].startswith(f"{loader} loads it from {tmp_path}")


def test_a_dry_run_counts_rows_and_steps(align: Align, recipe: Path):
    view = align("train", "sft", "r.yaml", "--dry-run", "--json").document

    # 12 rows, 2 held out; 10 in batches of 2 are 5 steps.
    assert view["rows"]["train"] == 10
    assert view["rows"]["eval"] == 2
    assert view["plan"]["num_steps"] == 5
    assert view["plan"]["command"].endswith("-m align_cli.worker out")
    assert view["recipe"]["values"]["learning_rate"] == {"value": 1e-4, "origin": "r.yaml:7", "kind": "file"}


@pytest.mark.parametrize("width", ["60", "80", "140"])
def test_a_dry_run_fits_the_terminal_it_is_told_of(align: Align, recipe: Path, width: str):
    done = align("train", "sft", "r.yaml", "--dry-run", COLUMNS=width)

    longest = max(len(line) for line in done.out.splitlines())
    command = len(f"  command  {sys.executable}")  # a path has no place to break at
    assert longest <= max(int(width), command)


def test_all_mistakes_come_at_once_with_suggestions(align: Align, recipe: Path):
    done = align("train", "sft", "r.yaml", "lr=3", "--learning_rat", "3", "max_length=many")

    assert done.code == 2
    assert done.out == ""
    assert done.err.count("learning_rate") >= 2
    assert "max_length" in done.err
    assert "Traceback" not in done.err


def test_errors_as_json_are_one_document_on_stderr(align: Align, recipe: Path):
    done = align("train", "sft", "r.yaml", "lr=3", "--json")

    assert done.code == 2
    assert done.out == ""
    assert done.error["type"] == "RecipeError"
    assert done.error["exit_code"] == 2
    assert [problem["where"] for problem in done.error["problems"]] == ["lr=3"]


def test_a_missing_data_file_is_found_before_anything_starts(align: Align, recipe: Path, tmp_path: Path):
    for words in (("--dry-run",), ("--json",)):
        done = align("train", "sft", "r.yaml", "mixture.sources.0.path=gone.jsonl", *words)

        assert done.code == 3
        assert "gone.jsonl" in done.err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_model_is_found_before_anything_starts(align: Align, recipe: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()

    done = align("train", "sft", "r.yaml", "model_name_or_path=./empty")

    assert done.code == 2
    assert "config.json" in done.err
    assert not (tmp_path / "out").exists()


def test_what_the_host_cannot_do_is_a_note_in_a_dry_run_and_an_error_in_a_run(align: Align, recipe: Path):
    wish = "attn_implementation=flash_attention_2"

    dry = align("train", "sft", "r.yaml", wish, "--dry-run", CUDA_VISIBLE_DEVICES="")
    real = align("train", "sft", "r.yaml", wish, CUDA_VISIBLE_DEVICES="")
    adapted = align("train", "sft", "r.yaml", wish, "--adapt", "--dry-run", "--json", CUDA_VISIBLE_DEVICES="")

    assert dry.code == 0
    assert "sdpa" in dry.out
    assert real.code == 4
    assert "attn_implementation=sdpa" in real.err
    assert adapted.document["recipe"]["values"]["attn_implementation"]["value"] == "sdpa"
    assert adapted.document["recipe"]["values"]["attn_implementation"]["kind"] == "adapted"


@pytest.mark.parametrize("task", ["dpo", "orpo", "kto", "reward"])
def test_a_task_on_pairs_plans_them(task: str, align: Align, recipe: Path):
    pair = {"prompt": "q", "chosen": "a", "rejected": "b"}
    recipe.with_name("pairs.jsonl").write_text(f"{json.dumps(pair)}\n" * 20)

    dry = align("train", task, "r.yaml", "mixture.sources=[pairs.jsonl]", "--dry-run", "--json")

    assert dry.code == 0
    assert dry.document["mixture"]["sources"][0]["available"] == 20


def test_a_forgotten_task_is_guessed_from_the_recipe(align: Align, recipe: Path):
    done = align("train", "x/sft/r.yaml", "seed=1")

    assert done.code == 2
    assert "align train sft x/sft/r.yaml seed=1" in done.err


def test_an_unknown_task_lists_the_known(align: Align):
    done = align("train", "stf", "r.yaml")

    assert done.code == 2
    assert "sft" in done.err


def test_no_recipe_is_an_error_that_says_how_to_find_one(align: Align):
    done = align("train", "sft")

    assert done.code == 2
    assert "align recipe ls" in done.err


def test_task_help_has_every_key_with_type_and_default(align: Align):
    done = align("train", "sft", "--help")

    assert done.code == 0
    for heading in ("Model:", "LoRA:", "Data:", "Optimiser:", "Evaluation:", "Logging:"):
        assert heading in done.out
    (line,) = [line for line in done.out.splitlines() if line.split()[:1] == ["learning_rate"]]
    assert "float = 2e-05" in line
    assert sum(" = " in line or "(computed)" in line for line in done.out.splitlines()) > 140


def test_a_secret_in_the_environment_never_comes_out(align: Align, recipe: Path):
    secret = "a-very-secret-value"

    done = align("train", "sft", "r.yaml", f"run_name={secret}", "--dry-run", HF_TOKEN=secret)
    failed = align("train", "sft", "r.yaml", f"lr={secret}", f"{secret}=1", HF_TOKEN=secret)

    assert secret not in done.out + done.err + failed.out + failed.err


def test_a_value_may_look_like_a_flag_of_ours(align: Align, recipe: Path):
    view = align("train", "sft", "r.yaml", "run_name=--dry-run", "--dry-run", "--json").document

    assert view["recipe"]["values"]["run_name"]["value"] == "--dry-run"


def test_colour_only_where_it_is_wanted(align: Align, recipe: Path):
    piped = align("train", "sft", "r.yaml", "--dry-run")
    forced = align("train", "sft", "r.yaml", "--dry-run", FORCE_COLOR="1")
    forbidden = align("train", "sft", "r.yaml", "--dry-run", FORCE_COLOR="1", NO_COLOR="1")

    assert "\x1b[" not in piped.out
    assert "\x1b[" in forced.out
    assert "\x1b[" not in forbidden.out


def test_json_is_one_document(align: Align, recipe: Path):
    done = align("train", "sft", "r.yaml", "--dry-run", "--json")

    assert isinstance(json.loads(done.out), dict)
    assert done.err == ""


def test_an_old_recipe_from_another_machine_dry_runs_with_a_note_and_does_not_run(align: Align, tmp_path: Path):
    (tmp_path / "old.yaml").write_text(
        "model_name_or_path: /elsewhere/model\n"
        "dataset_mixer:\n  /elsewhere/rows: 1.0\ndataset_splits: [train]\n"
        "torch_dtype: null\nmax_seq_length: 64\noutput_dir: out\n"
    )

    dry = align("train", "sft", "old.yaml", "--dry-run", "--json")
    real = align("train", "sft", "old.yaml")

    assert dry.code == 0, dry.err
    said = [note["message"] for note in dry.document["notes"]]
    assert any("/elsewhere/rows is not on this machine" in message for message in said)
    assert any("/elsewhere/model is not on this machine" in message for message in said)
    assert real.code == 2
    assert "/elsewhere/model is not on this machine" in real.err
    assert not (tmp_path / "out").exists()


def test_a_secret_of_the_environment_cannot_be_woven_into_a_value(align: Align, recipe: Path):
    recipe.write_text(recipe.read_text() + "run_name: run-${oc.env:MY_TOKEN}\n")

    done = align("train", "sft", "r.yaml", "--dry-run", MY_TOKEN="zqleakzq")

    assert done.code == 2
    assert "MY_TOKEN looks like a secret" in done.err
    assert "zqleakzq" not in done.out + done.err


def test_a_dry_run_says_what_a_run_would_find_in_the_output_folder(align: Align, recipe: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.safetensors").write_bytes(b"somebody's")

    done = align("train", "sft", "r.yaml", "--dry-run", "--json")

    assert done.code == 0
    said = [note["message"] for note in done.document["notes"] if note["key"] == "output_dir"]
    assert any("a run would be refused" in message and "model.safetensors" in message for message in said)


def test_a_terminal_that_cannot_show_a_sign_is_no_reason_to_fail(align: Align, recipe: Path):
    done = align("train", "sft", "r.yaml", "--dry-run", PYTHONIOENCODING="ascii", LC_ALL="C")

    assert done.code == 0, done.err


def test_json_without_a_task_is_an_error_document_and_leaves_stdout_empty(align: Align):
    done = align("train", "--json")

    assert done.code == 2
    assert done.out == ""
    assert done.error["message"] == "no task is named"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("mixture.clean.decontaminate=[mtbench]", "mtbench"),
        ("mixture.clean.languages=[xx]", "xx"),
        ("mixture.sources.0.rows=5000", "5,000 rows are asked for"),
    ],
)
def test_a_mixture_that_cannot_be_built_fails_the_dry_run(align: Align, recipe: Path, words: str, said: str):
    done = align("train", "sft", "r.yaml", words, "--dry-run")

    assert done.code in (2, 3)
    assert said in done.err
