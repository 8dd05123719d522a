"""Whatever happens to a worker or to its parent: one clear message, the right exit code, nobody left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.distributed.conftest import TWO, Place, end_of, losses, wait_for, workers_of

pytestmark = pytest.mark.slow

#: Long enough to be hit in the middle; a checkpoint now and then.
LONG = ("max_steps=2000", "save_steps=10", "save_total_limit=2", "logging_steps=10")


def reached(run: Path, step: int = 10) -> bool:
    return any(int(mark.parent.name.partition("-")[2]) >= step for mark in run.glob("checkpoint-*/align.json"))


def started(place: Place, out: str, *words: str) -> tuple[subprocess.Popen[str], Path]:
    """A long run of two processes that has saved its first checkpoint."""
    run = place.folder / out
    process = place.start(*TWO, *LONG, *words, f"output_dir={out}")
    wait_for(lambda: reached(run), process)
    return process, run


def test_a_killed_worker_ends_the_run_with_its_rank_and_host(place: Place):
    process, run = started(place, "killed")

    os.kill(workers_of(run)[1], signal.SIGKILL)
    said = end_of(process)

    assert process.returncode == 1
    assert f"rank 1 of 2 on {socket.gethostname()} (process " in said
    assert "was killed by SIGKILL" in said
    assert "Traceback" not in said
    assert workers_of(run) == {}


def test_a_run_that_restarts_after_a_kill_ends_as_without(place: Place):
    words = ("max_steps=60", "save_steps=10", "logging_steps=1")
    whole = place.train(*TWO, *words, out="not-killed")
    run = place.folder / "restarted"
    process = place.start(*TWO, *words, "--max-restarts", "1", "output_dir=restarted")
    wait_for(lambda: reached(run) and len(workers_of(run)) == 2, process)

    os.kill(workers_of(run)[0], signal.SIGKILL)
    said = end_of(process)

    assert process.returncode == 0, said
    assert "restart 1 of 1" in said
    assert losses(run) == losses(whole)
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_request_to_stop_saves_a_checkpoint_first(number: signal.Signals, code: int, place: Place):
    process, run = started(place, f"stopped-{number.name}")

    os.kill(process.pid, number)
    said = end_of(process)

    assert process.returncode == code
    step = max(int(mark.parent.name.partition("-")[2]) for mark in run.glob("checkpoint-*/align.json"))
    assert f"checkpoint-{step} is saved" in said
    assert step == max(losses(run)) or step % 10
    assert workers_of(run) == {}
    assert not (run / "align" / "manifest.json").exists()


def test_workers_do_not_outlive_the_process_that_started_them(place: Place):
    process, run = started(place, "orphans")
    assert len(workers_of(run)) == 2

    process.kill()
    end_of(process)

    for _ in range(1000):  # the kernel ends them; it does not wait for us
        if not workers_of(run):
            break
        os.sched_yield()
    assert workers_of(run) == {}


def test_a_worker_that_fails_by_itself_is_heard_once_and_leaves_its_failure_file(place: Place):
    done = place.run(*TWO, "learning_rate=1e30", "max_grad_norm=0", "output_dir=nan")

    assert done.returncode == 1
    assert done.stderr.count("the loss became nan") == 1
    assert "of 2 on" in done.stderr
    failures = sorted((place.folder / "nan" / "align").glob("failure-*.json"))
    assert failures
    assert json.loads(failures[0].read_text())["type"] == "TrainingError"


def test_a_port_in_use_is_found_before_anything_is_started(place: Place):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = place.run(*TWO, "--main-process-port", str(port), "output_dir=port")

    assert done.returncode == 4
    assert f"port {port} is in use" in done.stderr


def test_a_prepared_run_is_started_by_torchrun_and_not_by_fewer_processes(place: Place):
    made = place.run(*TWO, "--prepare", "--json", "output_dir=prepared")
    command = json.loads(made.stdout)["command"]

    alone = subprocess.run(
        [*command[: command.index(" -m torch")].split(), "-m", "align_cli.worker", "prepared"],
        cwd=place.folder, env=place.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    done = subprocess.run(command.split(), cwd=place.folder, env=place.env, capture_output=True, text=True, check=False)

    assert alone.returncode == 4
    assert "planned for 2 processes, and 1 was started" in alone.stderr
    assert done.returncode == 0, done.stderr
    assert (place.folder / "prepared" / "align" / "manifest.json").is_file()
    assert len(losses(place.folder / "prepared")) == 6


def test_inside_another_launcher_the_command_refuses(place: Place):
    place.env.update(RANK="0", WORLD_SIZE="2")
    try:
        done = place.run("output_dir=inside")
    finally:
        del place.env["RANK"], place.env["WORLD_SIZE"]

    assert done.returncode == 4
    assert "RANK=0 WORLD_SIZE=2" in done.stderr
    assert not (place.folder / "inside").exists()
