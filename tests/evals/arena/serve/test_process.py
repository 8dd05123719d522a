"""A real server: killed, stopped, and met by several raters at once."""

from __future__ import annotations

import json
import re
import signal
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from align_cli.evals.arena import store
from align_cli.evals.arena.serve import running
from tests.evals.arena.serve.process import files, serving
from tests.models.tiny import tiny_llama

pytestmark = pytest.mark.slow
BATTLES = Path("evals/arena/battles.db")


class Rater:
    """Over a real connection."""

    def __init__(self, root: str, name: str) -> None:
        self._root, self._headers = root, {"content-type": "application/json"}
        document, headers = self._send("api/enter", {"name": name})
        self._headers |= {"cookie": headers["set-cookie"].partition(";")[0], "x-arena": document["header"]}

    def post(self, path: str, body: Any = None) -> Any:
        return self._send(path, body or {})[0]

    def read(self, path: str) -> bytes:
        """A stream, to its end."""
        with urllib.request.urlopen(urllib.request.Request(self._root + path, headers=self._headers)) as response:
            return bytes(response.read())

    def _send(self, path: str, body: Any) -> tuple[Any, Any]:
        request = urllib.request.Request(self._root + path, json.dumps(body).encode(), self._headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response), response.headers


def test_kill_9_loses_no_vote_that_was_answered(tmp_path: Path) -> None:
    given = files(tmp_path, ("one", "other"), 400)
    answered: list[tuple[str, str]] = []

    def vote(root: str, name: str) -> None:
        try:
            rater = Rater(root, name)
            battle = rater.post("api/now")["battle"]["id"]
            while True:
                following = rater.post(f"api/battles/{battle}/vote", {"vote": "a"})
                answered.append((name, battle))
                battle = following["battle"]["id"]
                if len(answered) > 60:
                    is_time.set()
        except (OSError, urllib.error.HTTPError):
            pass

    is_time = threading.Event()
    with serving(tmp_path, *given) as served:
        threads = [threading.Thread(target=vote, args=(served.root, f"rater {n}")) for n in range(4)]
        for thread in threads:
            thread.start()
        assert is_time.wait(30)
        served.process.kill()
        for thread in threads:
            thread.join(30)

    kept = [(battle.rater, battle.id) for battle in store.battles(tmp_path / BATTLES)]
    assert len(set(kept)) == len(kept)
    assert set(answered) <= set(kept)
    assert len(kept) <= len(answered) + 4  # written, and the answer did not get out
    with serving(tmp_path, *given) as served:
        assert Rater(served.root, "rater 0").post("api/now")["progress"]["voted"] >= 10


def test_ctrl_c_says_where_the_battles_are_and_what_is_next(tmp_path: Path) -> None:
    with serving(tmp_path, *files(tmp_path, ("one", "other"), 3)) as served:
        rater = Rater(served.root, "Ann")
        rater.post(f"api/battles/{rater.post('api/now')['battle']['id']}/vote", {"vote": "tie"})
        served.process.send_signal(signal.SIGINT)
        _, said = served.process.communicate(timeout=20)

        assert served.process.returncode == 0
    assert said.split() == f"1 battle in {BATTLES} next: align eval arena report {BATTLES}".split()


def test_a_host_that_others_reach_has_tokens(tmp_path: Path) -> None:
    with serving(tmp_path, *files(tmp_path, ("one", "other"), 3), "--host", "0.0.0.0") as served:
        said = served.said
        (port,) = re.findall(r":(\d+)/#token=\S{20,}", said)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            Rater(f"http://127.0.0.1:{port}/", "Ann")


def test_behind_a_proxy_the_addresses_are_the_proxys_and_raters_need_a_token(tmp_path: Path) -> None:
    with serving(
        tmp_path,
        *files(tmp_path, ("one", "two"), 2),
        "--url",
        "https://arena.example.org/",
        expected="proxy finds it at",
    ) as served:
        assert "raters: https://arena.example.org/#token=" in served.said
        assert "report: https://arena.example.org/report#token=" in served.said
        assert "http://127.0.0.1:" in served.said
        assert "plain http" not in served.said


def test_a_port_that_is_taken_is_named_with_one_that_is_free() -> None:
    with running.bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(running.UsageError, match=f"port {port} is taken") as raised:
            running.bound("127.0.0.1", port)

    assert re.fullmatch(r"--port \d+ is free", raised.value.hint)


def test_models_on_this_machine_answer_live(tmp_path: Path) -> None:
    for seed, name in enumerate(("first", "second")):
        tiny_llama(tmp_path / name, seed=seed)
    with serving(tmp_path, "--live", "./first", "./second", "--max-new-tokens", "8") as served:
        rater = Rater(served.root, "Ann")
        battle = rater.post("api/now")["battle"]["id"]
        rater.post(f"api/battles/{battle}/ask", {"text": "Hello"})
        rater.read(f"api/battles/{battle}/stream")
        found = rater.post("api/now")["battle"]

    (turn,) = found["turns"]
    assert turn["prompt"] == "Hello"
    assert turn["a"] != turn["b"]
