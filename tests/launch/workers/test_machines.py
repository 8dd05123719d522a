"""Machines meet, agree, pass news on and notice when one is gone: threads on loopback, real sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest

from align_cli.errors import LaunchError
from align_cli.launch.workers import machines, ports
from align_cli.launch.workers.machines import Machines

SECONDS = 20


def hello(machine: int, **changes: Any) -> dict[str, Any]:
    said = {"recipe": "r", "data": "d", "model": "m", "machines": 3, "processes": 1, "align": "1", "torch": "2"}
    return {**said, "machine": machine, "host": f"host-{machine}", **changes}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def start(pool: ThreadPoolExecutor, number: int, port: int, **changes: Any) -> Future[Machines]:
    said = hello(number, **changes)
    if number == 0:
        return pool.submit(
            machines.gather, said, port=port, machines=said["machines"], seconds=SECONDS, say=lambda line: None
        )
    return pool.submit(machines.join, said, address="127.0.0.1", port=port, seconds=SECONDS, say=lambda line: None)


@pytest.fixture
def three(pool: ThreadPoolExecutor) -> Iterator[list[Machines]]:
    port = ports.free()
    coming = [start(pool, number, port) for number in range(3)]
    met = [one.result(SECONDS) for one in coming]
    yield met
    for one in met:
        one.close(orderly=True)


def news_of(link: Machines) -> tuple[str, Any]:
    done = threading.Event()
    for _ in range(SECONDS * 100):
        if (news := link.heard()) is not None:
            return news
        done.wait(0.01)
    raise AssertionError("no news")


def test_all_start_together_on_one_port(three: list[Machines], pool: ThreadPoolExecutor):
    met = [pool.submit(one.meet, 0, port=4711, seconds=SECONDS) for one in three]

    assert [one.result(SECONDS) for one in met] == [4711] * 3


def test_a_failure_on_one_machine_reaches_all_others(three: list[Machines]):
    three[1].tell("failed", {"rank": 1})

    assert news_of(three[0]) == ("failed", {"rank": 1})
    assert news_of(three[2]) == ("failed", {"rank": 1})


def test_a_request_to_stop_goes_from_machine_0_to_all(three: list[Machines]):
    three[0].tell("stop", 15)

    assert [news_of(one) for one in three[1:]] == [("stop", 15)] * 2


def test_a_machine_that_is_gone_is_news_and_an_orderly_end_is_none(three: list[Machines]):
    three[1].close(orderly=True)
    three[2].close(orderly=False)

    kind, words = news_of(three[0])

    assert (kind, "machine 2 (host-2) is gone" in words) == ("lost", True)
    assert three[0].heard() is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "other"}, "the prepared data"),
        ({"torch": "3"}, "the version of torch"),
        ({"processes": 2}, "processes a machine"),
    ],
)
def test_a_machine_that_differs_is_refused_on_both_sides(changes: dict[str, Any], words: str, pool: ThreadPoolExecutor):
    port = ports.free()
    coming = [start(pool, 0, port, machines=2), start(pool, 1, port, machines=2, **changes)]

    for one in coming:
        with pytest.raises(LaunchError, match=words):
            one.result(SECONDS)


def test_keys_of_the_recipe_that_differ_are_named_with_both_values(pool: ThreadPoolExecutor):
    port = ports.free()
    keys = {"seed": ("a", "1"), "task": ("t", "sft")}
    coming = [
        start(pool, 0, port, machines=2, keys=keys),
        start(pool, 1, port, machines=2, recipe="other", keys={**keys, "seed": ("b", "2")}),
    ]

    for one in coming:
        with pytest.raises(LaunchError, match="seed is 2 on machine 1 and 1 on machine 0") as caught:
            one.result(SECONDS)
        assert "task" not in caught.value.message
        assert caught.value.hint.startswith("run the same command")


def test_a_machine_that_waits_for_the_last_one_hears_that_machine_0_lives(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machines, "ALIVE_EVERY", 0.05)
    monkeypatch.setattr(machines, "_SILENT_FOR", 0.4)
    port = ports.free()
    coming = [start(pool, 0, port), start(pool, 1, port)]

    assert not wait(coming, timeout=0.9).done
    coming.append(start(pool, 2, port))

    for one in coming:
        one.result(SECONDS).close(orderly=True)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"7\n", b""])
def test_another_program_on_the_port_is_not_taken_for_machine_0(
    answer: bytes, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machines, "_ANSWERS_WITHIN", 0.3)
    monkeypatch.setattr(machines, "_KNOCK_EVERY", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.sendall(answer)
                    if answer:
                        connection.close()

        pool.submit(serve)
        with pytest.raises(LaunchError, match=f"something else than machine 0 answers at 127.0.0.1:{port}"):
            start(pool, 1, port).result(SECONDS)
        server.shutdown(socket.SHUT_RDWR)


def test_two_machines_with_one_number_are_refused(pool: ThreadPoolExecutor):
    port = ports.free()
    first = start(pool, 0, port)
    twins = [start(pool, 1, port), start(pool, 1, port)]

    with pytest.raises(LaunchError, match=r"machine 1, twice"):
        first.result(SECONDS)
    for one in twins:
        with pytest.raises(LaunchError):
            one.result(SECONDS)


def test_who_only_knocks_is_not_taken_for_a_machine(pool: ThreadPoolExecutor):
    port = ports.free()
    first = start(pool, 0, port, machines=2)
    for _ in range(SECONDS * 100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            threading.Event().wait(0.01)
    second = start(pool, 1, port, machines=2)

    met = [first.result(SECONDS), second.result(SECONDS)]
    for one in met:
        one.close(orderly=True)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on, whose neighbour below is free."""
    while True:
        port = ports.free()
        with contextlib.suppress(OSError), socket.create_server(("", port + 1)):
            yield port + 1
            return


def test_the_port_of_the_workers_is_tried_before_anybody_waits(taken: int):
    with pytest.raises(LaunchError, match=f"port {taken} is in use") as caught:
        machines.gather(hello(0), port=taken - 1, machines=2, seconds=SECONDS, say=lambda line: None)

    assert "launch.machine_rank" in caught.value.hint


@pytest.mark.parametrize(
    ("address", "said"), [("192.0.2.1", "does not lead to it"), ("no-such-host.invalid", "is not known")]
)
def test_an_address_of_machine_0_that_leads_elsewhere_is_refused(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ports, "_KNOCK", 0.1)

    with pytest.raises(LaunchError, match=said):
        ports.demand_own(address, ports.free())


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_an_address_of_this_machine_is_its_own(address: str):
    ports.demand_own(address, ports.free())


def test_the_interface_that_leads_to_the_others_is_named(three: list[Machines]):
    assert {one.interface for one in three} == {"lo"}
