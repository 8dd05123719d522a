from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from align_cli.errors import AlignError, DataError, UsageError
from align_cli.mix.build import build
from align_cli.mix.reading import engines
from align_cli.recipe.schema import Mixture, Source
from tests.mix.conftest import ROWS, chats
from tests.mix.reading import work

CHECKOUT = Path(__file__).parents[2]

_ENDLESS = """
import sys
from align_cli.mix.reading import engines
from tests.mix.reading import work
if __name__ == "__main__":
    list(engines.Local(2).map(work.endless, [sys.argv[1]] * 4))
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> engines.Engine:
    pytest.importorskip("ray.data")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return engines.choose("ray", 2, size=0)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children() -> set[int]:
    """Processes of this one, the helper of multiprocessing aside: it stays, and ends with us."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in found if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()}


@pytest.mark.parametrize("engine", [engines.Inline(), engines.Local(1), engines.Local(2)], ids=["inline", "one", "two"])
def test_results_come_in_the_order_of_the_items(engine: engines.Engine) -> None:
    before = children()
    results = list(engine.map(work.doubled, range(30)))

    assert [result for result, _ in results] == list(range(0, 60, 2))
    assert {pid for _, pid in results} == {os.getpid()} or os.getpid() not in {pid for _, pid in results}
    assert children() == before


@pytest.mark.parametrize("engine", [engines.Inline(), engines.Local(2)], ids=["inline", "local"])
def test_the_first_fault_in_the_order_of_items_is_raised_as_it_was(engine: engines.Engine) -> None:
    with pytest.raises(DataError) as caught:
        list(engine.map(work.refused, range(6)))
    assert [str(problem) for problem in caught.value.problems] == ["row 2: it is bad (make it good)"]


def test_a_killed_worker_is_an_error_that_says_what_to_try() -> None:
    before = children()
    with pytest.raises(AlignError, match="a worker process was killed") as caught:
        list(engines.Local(2).map(work.killed, range(8)))
    assert "--workers 1" in caught.value.hint
    assert children() == before


def test_stopping_early_ends_the_workers_at_once(tmp_path: Path) -> None:
    before = children()
    results = engines.Local(2).map(work.refused, range(100))
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert children() == before


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent_and_say_nothing(sign: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_ENDLESS)
    folder = tmp_path / "workers"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, script, folder],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        until(lambda: len(list(folder.iterdir())) == 2)
        pids = [int(path.name) for path in folder.iterdir()]
        if sign == signal.SIGINT:
            os.killpg(process.pid, sign)  # as a terminal sends it: to everybody
        else:
            process.send_signal(sign)
        output, errors = process.communicate(timeout=60)
    until(lambda: not any(alive(pid) for pid in pids))
    assert output == b""
    assert errors.count(b"Traceback") == (sign == signal.SIGINT)  # the parent's own, in this script


def test_little_input_is_read_here_and_much_by_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.cores, "usable", lambda: 8)
    assert engines.choose(size=1 << 20).name == "inline"
    assert (engines.choose(size=1 << 30).name, engines.choose(size=1 << 30).workers) == ("local", 8)
    assert engines.choose(workers=3, size=0).workers == 3
    assert engines.choose(workers=1, size=1 << 30).name == "inline"
    monkeypatch.setattr(engines.cores, "usable", lambda: 1)
    assert engines.choose(size=1 << 30).name == "inline"


def test_an_engine_or_number_of_workers_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match='no engine "dask"') as caught:
        engines.choose("dask", size=0)
    assert "ray" in caught.value.hint
    with pytest.raises(UsageError, match="0 workers"):
        engines.choose(workers=0, size=0)


def test_ray_that_is_not_installed_is_an_error_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="not installed") as caught:
        engines.choose("ray", size=0)
    assert "pip install 'align-cli[ray]'" in caught.value.hint


_RAY = """
import json, os, sys, threading
from align_cli.errors import DataError
from align_cli.mix.reading import engines
from tests.mix.reading import work
if __name__ == "__main__":
    engine = engines.choose("ray", 2, size=0)
    results = list(engine.map(work.doubled, range(20)))
    try:
        list(engine.map(work.refused, range(4)))
    except DataError as error:
        fault = str(error.problems[0])
    away = os.getpid() not in {pid for _, pid in results}
    print(json.dumps([[result for result, _ in results], away, fault, len({pid for _, pid in results})]))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_ray_of_two_workers_gives_the_same_and_leaves_nothing_behind(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_RAY)
    with tempfile.TemporaryDirectory(dir="/tmp") as scratch:
        environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "TMPDIR": scratch}
        environment.pop("RAY_ADDRESS", None)
        done = subprocess.run(
            [sys.executable, script], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=240
        )
        left = os.listdir(scratch)
    assert done.returncode == 0, done.stderr
    results, away, fault, num_workers = json.loads(done.stdout)  # and so nothing else is on stdout
    assert results == list(range(0, 40, 2))
    assert away
    assert fault == "row 2: it is bad (make it good)"
    assert 1 <= num_workers <= 2
    assert done.stderr == ""
    assert left == []


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_processes_and_ray_build_the_same_bytes_as_this_process(
    tmp_path: Path, jsonl: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [jsonl(f"{name}.jsonl", chats(200, start)) for start, name in ((0, "a"), (1000, "b"), (5000, "c"))]
    mixture = Mixture(sources=tuple(Source(path=path) for path in paths), held_out=0.1)
    found = set()
    for engine in (engines.Inline(), engines.Local(2), engines.choose("ray", 2, size=0)):
        monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / engine.name))
        built = build(mixture, ROWS, engine=engine)
        assert not built.from_store
        files = [(built.folder / f"{name}.arrow").read_bytes() for name in ("train", "eval")]
        found.add((built.digest, json.dumps(built.report["result"], sort_keys=True), *files))
    assert len(found) == 1
