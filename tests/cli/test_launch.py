"""`align launch`: presets, this machine, and jobs that are written, shown or submitted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Align

SLURM = ("launch", "slurm", "r.yaml", "--task", "sft", "--gpus-per-node", "8", "model_name_or_path=m")


@pytest.fixture
def job(recipe: Path, tmp_path: Path) -> Path:
    """A folder with a recipe `r.yaml` and a model that is there."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text('{"model_type": "llama"}')
    return tmp_path


def command(folder: Path, name: str, text: str) -> str:
    """A stand-in for a scheduler's command; the PATH that finds it."""
    file = folder / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/bash\n{text}\n")
    file.chmod(0o755)
    return f"{file.parent}:/usr/bin:/bin"


def test_ls_lists_the_presets(align: Align) -> None:
    done = align("launch", "ls", "--json")

    rows = {row["name"]: row for row in done.document}
    assert rows["8xgpu-zero3"]["launch"] == {"strategy": "zero3", "num_processes": 8}
    assert "8xgpu-zero3" in align("launch", "ls").out


def test_env_is_one_document(align: Align) -> None:
    done = align("launch", "env", "--json", "--machines", "127.0.0.1:1", WORLD_SIZE="2")

    assert done.code == 0
    assert done.document["machine"]["variables"]["WORLD_SIZE"] == "2"
    assert done.document["machines"][0]["outcome"] == "refused"


def test_env_fails_when_a_machine_does_not_answer_and_still_says_all(align: Align) -> None:
    done = align("launch", "env", "--machines", "no-such-host.invalid")

    assert done.code == 4
    assert "no-such-host.invalid:29500" in done.out
    assert "Network" in done.out


def test_a_dry_run_prints_the_file_and_writes_nothing(align: Align, job: Path) -> None:
    before = sorted(job.iterdir())

    done = align(*SLURM, "--nodes", "2", "--dry-run")

    assert (done.code, sorted(job.iterdir())) == (0, before)
    assert subprocess.run(["bash", "-n"], input=done.out, text=True, check=False).returncode == 0
    assert "#SBATCH --nodes=2" in done.out


def test_overrides_and_options_may_be_mixed(align: Align, job: Path) -> None:
    done = align(*SLURM, "--learning_rate", "2e-5", "--nodes", "2", "seed=7", "--time", "1:00:00", "--dry-run")

    assert "learning_rate=2e-5" in done.out
    assert "seed=7" in done.out
    assert "#SBATCH --time=1:00:00" in done.out


def test_it_writes_a_file_named_for_the_recipe_again_and_again(align: Align, job: Path) -> None:
    first, second = align(*SLURM), align(*SLURM, "--nodes", "4")

    assert (first.code, first.out, second.code) == (0, "r.slurm\n", 0)
    assert "#SBATCH --nodes=4" in (job / "r.slurm").read_text()


def test_it_does_not_overwrite_what_it_did_not_write(align: Align, job: Path) -> None:
    (job / "r.slurm").write_text("mine\n")

    refused, forced = align(*SLURM), align(*SLURM, "--force")

    assert (refused.code, forced.code) == (2, 0)
    assert "--force" in refused.err


def test_the_problems_of_the_recipe_come_first_and_all_of_them(align: Align, job: Path) -> None:
    done = align(*SLURM, "--json", "launch.strategy=ddp", "launch.offload=all", "learning_rte=1", "--dry-run")

    assert (done.code, done.out) == (2, "")
    assert len(done.error["problems"]) == 2


def test_a_block_that_the_job_s_numbers_break_is_told(align: Align, job: Path) -> None:
    done = align(*SLURM, "launch.strategy=fsdp", "launch.context_parallel=3", "--dry-run")

    assert done.code == 2
    assert "8 processes cannot be divided among groups of 3" in done.err


def test_nobody_says_how_many_gpus(align: Align, job: Path) -> None:
    done = align("launch", "slurm", "r.yaml", "--task", "sft", "model_name_or_path=m", "--dry-run")

    assert done.code == 2
    assert "--gpus-per-node 8" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--nodes", "2", "launch.num_processes=3"), "run 16 processes, one a GPU"),
        (("--nodes", "0"), "--nodes is 0, expected at least 1"),
        (("--gpus-per-node", "0"), "nothing says how many processes a node runs"),
    ],
)
def test_numbers_that_no_job_can_have_are_refused(align: Align, job: Path, words: tuple[str, ...], said: str) -> None:
    done = align(*SLURM, *words)

    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert not (job / "r.slurm").exists()


def test_a_recipe_that_is_not_there_is_said_to_be_missing(align: Align, job: Path) -> None:
    done = align("launch", "slurm", "nope.yaml", "--dry-run", "--json")

    assert done.code == 2
    assert "there is no recipe nope.yaml" in done.error["message"]


def test_submitting_prints_the_job_s_number(align: Align, job: Path) -> None:
    path = command(job, "sbatch", 'printf "%s\\n" "$@" > words; echo "4711;cluster"')

    done = align(*SLURM, "--submit", PATH=path)

    assert (done.code, done.out) == (0, "4711\n")
    assert (job / "words").read_text().split() == ["--parsable", "r.slurm"]


def test_without_sbatch_nothing_is_written(align: Align, job: Path) -> None:
    done = align(*SLURM, "--submit", PATH="/nowhere")

    assert done.code == 4
    assert "sbatch is not on this machine" in done.err
    assert not (job / "r.slurm").exists()


def test_a_job_that_sbatch_refuses_is_an_error(align: Align, job: Path) -> None:
    done = align(*SLURM, "--submit", PATH=command(job, "sbatch", "echo invalid partition >&2; exit 1"))

    assert done.code == 4
    assert "invalid partition" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("zephyr-7b-beta", "sft", "full", "deepspeed_zero3", "--seed=7"),
        (
            "--model",
            "zephyr-7b-beta",
            "--task",
            "sft",
            "--config",
            "full",
            "--accelerator",
            "zero3",
            "--args",
            "--seed=7",
        ),
    ],
)
def test_the_handbook_s_words_name_the_shipped_recipe(align: Align, words: tuple[str, ...]) -> None:
    done = align("launch", "slurm", *words, "--dry-run")

    assert done.code == 0
    for line in ("zephyr-7b-beta/sft/full", "launch.preset=8xgpu-zero3", "seed=7", "#SBATCH --gpus-per-node=8"):
        assert line in done.out


def test_the_logs_folder_is_made_because_slurm_makes_none(align: Align, job: Path) -> None:
    align(*SLURM, "--logs", "my logs")

    assert (job / "my logs").is_dir()
    assert "my\\ logs/%x-%j.out" in (job / "r.slurm").read_text()


def test_a_task_for_skypilot_is_written_and_launched(align: Align, job: Path) -> None:
    path = command(job, "sky", 'printf "%s\\n" "$@" > words; echo talk')

    done = align(
        *("launch", "sky", "sft", "r.yaml", "model_name_or_path=m", "--gpus", "H100:8", "--nodes", "2"),
        *("--secret", "HF_TOKEN", "--submit", "--json"),
        PATH=path,
    )

    assert done.code == 0
    assert json.loads(done.out)["file"] == "r.sky.yaml"
    assert (job / "words").read_text().split() == ["launch", "--cluster", "r", "--secret", "HF_TOKEN", "r.sky.yaml"]


def test_sky_wants_to_know_which_gpus(align: Align, job: Path) -> None:
    done = align("launch", "sky", "sft", "r.yaml", "model_name_or_path=m", "--dry-run")

    assert done.code == 2
    assert "--gpus H100:8" in done.err


def test_recipe_check_knows_presets_and_files_of_accelerate(align: Align, job: Path) -> None:
    text = (job / "r.yaml").read_text()
    (job / "r.yaml").write_text(f"{text}launch: {{preset: 8xgpu-zero4}}\n")

    done = align("recipe", "check", "r.yaml", "--task", "sft")

    assert done.code == 2
    assert "did you mean 8xgpu-zero" in done.err
