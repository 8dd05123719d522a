from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from align_cli.errors import EndpointError, Interrupted
from tests.evals.asking.conftest import Ask, many, quick
from tests.evals.endpoint import Received, Reply, error, said, serving


def waiting(gate: threading.Event) -> Reply:
    return Reply(**{**said("late").__dict__, "until": gate})


def test_a_wish_to_stop_sends_nothing_more_and_keeps_what_was_on_its_way(ask: Ask) -> None:
    gate, stop = threading.Event(), threading.Event()

    with serving(lambda received: waiting(gate)) as server:

        def end() -> None:
            server.wait_for(3)
            stop.set()
            gate.set()

        threading.Thread(target=end).start()
        asked = ask(server, many(50), limits=quick(in_flight=3), is_stopped=stop.is_set)

        assert isinstance(asked.error, Interrupted)
        assert len(server.received) == 3
        assert asked.keys == {"000", "001", "002"}
        assert asked.error.message == "stopped: 3 requests are answered and kept"


def test_replies_that_do_not_come_are_not_waited_for_long(ask: Ask) -> None:
    gate = threading.Event()
    try:
        with serving(lambda received: waiting(gate)) as server:
            asked = ask(
                server, many(50), limits=quick(in_flight=3, grace_s=0.2), is_stopped=lambda: len(server.received) >= 3
            )

            assert isinstance(asked.error, Interrupted)
            assert "3 replies on their way had not come after 0.2 s" in asked.error.message
            assert asked.outcomes == []
            gate.set()
    finally:
        gate.set()


def test_who_only_waits_goes_home_at_once(ask: Ask) -> None:
    # a minute's wait was asked for: the test would time out if it were waited for
    with serving(lambda received: error(429, headers={"Retry-After": "60"})) as server:
        asked = ask(server, many(9), is_stopped=lambda: len(server.received) >= 1)

        assert isinstance(asked.error, Interrupted)
        assert any("waiting 60 s" in line for line in asked.said)


def test_a_fault_after_the_wish_to_stop_is_no_outcome(ask: Ask) -> None:
    gate = threading.Event()
    with serving(lambda received: Reply(**{**error(500).__dict__, "until": gate})) as server:

        def is_stopped() -> bool:
            if len(server.received) >= 2:
                gate.set()
                return True
            return False

        asked = ask(server, many(9), limits=quick(in_flight=2), is_stopped=is_stopped)

        assert isinstance(asked.error, Interrupted)
        assert asked.outcomes == []


def test_replies_on_their_way_are_kept_when_the_key_is_refused(ask: Ask) -> None:
    refused = threading.Event()

    def answer(received: Received) -> Reply:
        if received.key == "001":
            threading.Timer(0.1, refused.set).start()
            return error(401, "expired")
        return waiting(refused)

    with serving(answer) as server:
        asked = ask(server, many(9), limits=quick(in_flight=2))

        assert isinstance(asked.error, EndpointError)
        assert asked.keys == {"000"}


SCRIPT = """
import sys
from align_cli.evals.asking.ask import ask_all
from align_cli.evals.asking.endpoint import endpoint
from align_cli.evals.asking.limits import Limits
from tests.evals.asking.conftest import many

try:
    ask_all(
        endpoint("judge", base_url=sys.argv[1], environ={}), many(50), limits=Limits(in_flight=2),
        on_outcome=lambda outcome: print("KEPT", outcome.key, flush=True),
    )
except BaseException as error:
    print(type(error).__name__, error, flush=True)
"""


def test_ctrl_c_keeps_what_was_on_its_way() -> None:
    gate = threading.Event()
    with serving(lambda received: waiting(gate)) as server:
        root = Path(__file__).parents[3]
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, server.base_url],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            text=True,
        )
        server.wait_for(2)
        process.send_signal(signal.SIGINT)
        gate.set()
        out, _ = process.communicate(timeout=30)

        kept = [line for line in out.splitlines() if line.startswith("KEPT")]
        assert len(kept) == len(server.received)
        assert out.splitlines()[-1].startswith(f"Interrupted stopped: {len(kept)} requests are answered and kept")


def test_a_second_ctrl_c_stops_at_once() -> None:
    gate = threading.Event()
    try:
        with serving(lambda received: waiting(gate)) as server:
            root = Path(__file__).parents[3]
            process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, server.base_url],
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root)},
                stdout=subprocess.PIPE,
                text=True,
            )
            server.wait_for(2)
            process.send_signal(signal.SIGINT)
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=10)  # less than the 15 s of grace

            assert "KEPT" not in out
            assert out.splitlines()[-1].startswith("KeyboardInterrupt")
            gate.set()
    finally:
        gate.set()
