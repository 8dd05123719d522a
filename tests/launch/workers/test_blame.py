"""Of several workers that ended, the one with a reason of its own is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from align_cli.errors import DataError, LaunchError, TrainingError
from align_cli.launch.workers import blame
from align_cli.launch.workers.crew import Crew, Worker


@pytest.fixture
def crew(tmp_path: Path) -> Crew:
    return Crew(
        argv=("x",), env={}, local=2, first=0, world=2, address="127.0.0.1", port=1, logs=tmp_path,
        failure=lambda rank: tmp_path / f"failure-{rank}.json",
    )  # fmt: skip


def ended(
    crew: Crew, rank: int, code: str, *, at: float, log: str = "", left: dict[str, object] | None = None
) -> Worker:
    """A real process that has ended as `code` (Python) makes it end."""
    process = subprocess.Popen([sys.executable, "-c", code])
    process.wait()
    path = crew.logs / f"rank-{rank}.log"
    path.write_text(log)
    if left is not None:
        crew.failure(rank).write_text(json.dumps(left))
    worker = Worker(rank, process, path)
    worker.ended_at = at
    return worker


KILLED = "import os; os.kill(os.getpid(), 9)"
FAILED = "raise SystemExit(1)"
NEIGHBOUR = {"type": "RuntimeError", "message": "[gloo/transport/tcp/pair.cc:534] Connection closed by peer"}


def test_a_killed_worker_is_to_blame_and_not_its_neighbour_that_fell_first(crew: Crew):
    workers = [ended(crew, 0, FAILED, at=1.0, left=NEIGHBOUR), ended(crew, 1, KILLED, at=2.0)]

    error = blame.as_error(blame.of_workers(crew, workers), world=2, hint="again", log=crew.logs)

    assert isinstance(error, TrainingError)
    assert "rank 1 of 2 on" in error.message
    assert "SIGKILL" in error.message


def test_an_error_in_words_keeps_its_kind_its_problems_and_its_exit_code(crew: Crew):
    left = DataError("the prepared data are gone", hint="run it again").as_dict()
    workers = [ended(crew, 0, FAILED, at=2.0, left=NEIGHBOUR), ended(crew, 1, FAILED, at=1.0, left=left)]

    error = blame.as_error(blame.of_workers(crew, workers), world=2, hint="again", log=crew.logs)

    assert isinstance(error, DataError)
    assert error.message.endswith("the prepared data are gone")
    assert error.hint == "run it again"


def test_a_worker_that_left_nothing_is_quoted(crew: Crew):
    workers = [ended(crew, 0, FAILED, at=1.0, log="Traceback\nImportError: no module named x\n")]

    error = blame.as_error(blame.of_workers(crew, workers), world=2, hint="again", log=crew.logs)

    assert "exit code 1" in error.message
    assert [problem.message for problem in error.problems] == ["Traceback", "ImportError: no module named x"]


def test_a_failure_survives_the_way_to_another_machine(crew: Crew):
    failure = blame.of_workers(crew, [ended(crew, 1, FAILED, at=1.0, left=LaunchError("no").as_dict())])

    assert blame.from_dict(json.loads(json.dumps(failure.as_dict()))) == failure


def test_a_killed_worker_s_failure_file_is_written_for_it_and_its_neighbour_s_is_removed(crew: Crew):
    workers = [ended(crew, 0, FAILED, at=1.0, left=NEIGHBOUR), ended(crew, 1, KILLED, at=2.0, log="step 3\n")]

    blame.leave(crew, blame.of_workers(crew, workers), workers)

    left = json.loads(crew.failure(1).read_text())
    assert left["message"] == "killed by SIGKILL"
    assert (left["pid"], left["last_lines"]) == (workers[1].process.pid, ["step 3"])
    assert not crew.failure(0).exists()


def test_what_a_neighbour_says_stays_where_the_reason_is_on_another_machine(crew: Crew):
    workers = [ended(crew, 0, FAILED, at=1.0, left=NEIGHBOUR)]

    blame.leave(crew, blame.of_workers(crew, workers), workers)

    assert json.loads(crew.failure(0).read_text()) == NEIGHBOUR


def test_a_worker_with_a_reason_of_its_own_keeps_its_words(crew: Crew):
    left = DataError("gone").as_dict()
    workers = [ended(crew, 0, FAILED, at=1.0, left=left), ended(crew, 1, FAILED, at=2.0, left=left)]

    blame.leave(crew, blame.of_workers(crew, workers), workers)

    assert [json.loads(crew.failure(rank).read_text()) for rank in (0, 1)] == [left, left]
