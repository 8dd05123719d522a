"""What `align launch env` finds out: ports, interfaces, variables, and whether machines answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from align_cli.errors import UsageError
from align_cli.launch.cluster import machine, reach


@pytest.fixture
def listening() -> Iterator[int]:
    """A port on which something listens, with the next one free or not."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_this_machine_is_a_json_document(listening: int) -> None:
    found = machine.inspect(listening)

    document = json.loads(json.dumps(found.as_dict()))
    assert document["hostname"] == socket.gethostname()
    assert document["versions"]["accelerate"] != "not installed"
    assert document["host"]["cpus"] >= 1


def test_a_port_in_use_is_seen_and_said(listening: int) -> None:
    found = machine.inspect(listening)

    assert not found.port_is_free
    assert any(str(listening) in note for note in found.notes)


def test_a_port_nobody_uses_is_free() -> None:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]

    assert machine.port_is_free(port)


def test_loopback_is_there_and_last() -> None:
    found = machine.interfaces()

    assert found[-1].loopback
    assert "127.0.0.1" in found[-1].addresses


def test_only_variables_of_launchers_are_shown() -> None:
    environment = {"WORLD_SIZE": "2", "NCCL_DEBUG": "INFO", "HF_TOKEN": "hf_x", "SLURM_JOB_ID": "1", "HOME": "/"}

    assert machine.variables(environment) == {"NCCL_DEBUG": "INFO", "SLURM_JOB_ID": "1", "WORLD_SIZE": "2"}


def test_machines_that_listen_refuse_or_do_not_exist_are_told_apart(listening: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]

    found = reach.attempts([("127.0.0.1", listening), ("127.0.0.1", closed), ("no-such-host.invalid", 1)])

    assert [item.outcome for item in found][:2] == ["reachable", "refused"]
    assert found[2].outcome in ("name unknown", "no answer")
    assert [item.is_there for item in found] == [True, True, False]


def test_targets_may_have_ports_of_their_own() -> None:
    found = reach.targets("a,b:1,[fd00::1]:2,fd00::2", 29500)

    assert found == [("a", 29500), ("b", 1), ("fd00::1", 2), ("fd00::2", 29500)]


@pytest.mark.parametrize("text", ["", "a,,b", "a:x", "a:0", "a:70000"])
def test_targets_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        reach.targets(text, 29500)
