from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

from align_cli.evals.asking.outcome import Outcome, Request
from tests.evals.asking.conftest import Ask, at, many, quick, request
from tests.evals.endpoint import Received, Reply, error, said, serving


def test_every_request_gets_its_own_reply(ask: Ask) -> None:
    with serving(lambda received: said(received.words.upper())) as server:
        asked = ask(server, many(40), limits=quick(in_flight=8))

        assert {outcome.key: outcome.text for outcome in asked.outcomes} == {
            f"{number:03}": f"QUESTION {number}" for number in range(40)
        }
        assert asked.tally is not None
        assert (asked.tally.states, asked.tally.sent, asked.tally.done) == ({"ok": 40}, 40, 40)
        assert set(server.asked.values()) == {1}


def test_a_request_is_sent_as_it_is_and_with_its_key(ask: Ask) -> None:
    with serving() as server:
        asked = ask(at(server, OPENAI_API_KEY="key-0123456789"), [request("k1", "Hi", logprobs=True)])

        sent = server.received[0]
        assert sent.path == "/v1/chat/completions"
        assert sent.headers["authorization"] == "Bearer key-0123456789"
        assert sent.headers["idempotency-key"] == "k1"
        assert sent.document == {
            "model": "judge",
            "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 0,
            "max_tokens": 64,
            "logprobs": True,
        }
        assert asked.only.parameters == {"temperature": 0, "max_tokens": 64, "logprobs": True}


def test_azure_is_asked_at_its_own_address_with_its_own_header(ask: Ask) -> None:
    from align_cli.evals.asking.endpoint import endpoint

    with serving(key="azure-key-0123") as server:
        environ = {
            "AZURE_OPENAI_ENDPOINT": server.base_url.removesuffix("/v1"),
            "AZURE_OPENAI_API_KEY": "azure-key-0123",
            "OPENAI_API_VERSION": "2024-10-21",
        }

        asked = ask(endpoint("my-gpt4", environ=environ))

        assert asked.only.state == "ok"
        assert server.received[0].path == "/openai/deployments/my-gpt4/chat/completions?api-version=2024-10-21"


def test_no_more_are_in_flight_than_may_be(ask: Ask) -> None:
    with serving(latency=0.02) as server:
        ask(server, many(30), limits=quick(in_flight=5))

        assert server.most_in_flight == 5


def test_requests_are_taken_as_there_is_room_for_them(ask: Ask) -> None:
    taken, gate = [], threading.Event()

    def stream() -> Iterator[Request]:
        for one in many(12):
            taken.append(one.key)
            yield one

    def answer(received: Received) -> Reply:
        if received.nth == 1 and len(taken) > 3:
            gate.set()
        return Reply(**{**said("yes").__dict__, "until": gate})

    with serving(answer) as server:
        # Two in flight and one in hand: the fourth is not taken before the first reply, which waits for nobody else.
        gate_opener = threading.Timer(0.2, lambda: (seen.append(len(taken)), gate.set()))
        seen: list[int] = []
        gate_opener.start()
        asked = ask(server, stream(), limits=quick(in_flight=2))

    assert len(asked.outcomes) == 12
    assert seen[0] <= 3


def test_what_follows_from_an_outcome_is_asked_too(ask: Ask) -> None:
    outcomes: list[Outcome] = []

    def more(outcome: Outcome) -> list[Request]:
        outcomes.append(outcome)
        return [request(f"{outcome.key}.", f"and {outcome.text}")] if len(outcome.key) < 6 else []

    with serving(lambda received: said(received.words)) as server:
        asked = ask(server, many(2), on_outcome=more, limits=quick(in_flight=1))

    assert asked.error is None
    # one at a time: what follows goes before what is new
    assert [outcome.key for outcome in outcomes] == ["000", "000.", "000..", "000...", "001", "001.", "001..", "001..."]


def test_workers_wait_for_what_may_follow(ask: Ask) -> None:
    outcomes: list[str] = []

    def more(outcome: Outcome) -> list[Request]:
        outcomes.append(outcome.key)
        return many(20) if outcome.key == "first" else []

    with serving(latency=0.02) as server:
        ask(server, [request("first")], on_outcome=more, limits=quick(in_flight=4))

        assert len(outcomes) == 21
        assert server.most_in_flight == 4


def test_a_request_is_announced_before_it_is_sent_and_once(ask: Ask) -> None:
    with serving() as server:
        announced: list[tuple[str, int]] = []
        server.next(error(500), error(500))

        ask(server, many(3), on_sent=lambda one: announced.append((one.key, server.asked[one.key])))

        assert sorted(announced) == [("000", 0), ("001", 0), ("002", 0)]


def test_an_outcome_is_handed_over_while_others_are_on_their_way(ask: Ask) -> None:
    gate = threading.Event()

    def answer(received: Received) -> Reply:
        return Reply(**{**said("yes").__dict__, "until": gate if received.key == "001" else None})

    def open_gate(outcome: Outcome) -> None:
        order.append(outcome.key)
        if outcome.key == "002":
            gate.set()

    order: list[str] = []
    with serving(answer) as server:
        asked = ask(server, many(3), on_outcome=open_gate, limits=quick(in_flight=2))

    assert asked.error is None
    assert order == ["000", "002", "001"]


def test_an_error_of_whoever_takes_the_outcomes_ends_all(ask: Ask) -> None:
    def full(outcome: Outcome) -> None:
        raise OSError(28, "No space left on device")

    with serving() as server:
        asked = ask(server, many(50), on_outcome=full, limits=quick(in_flight=2))

        assert isinstance(asked.error, OSError)
        assert len(server.received) < 10


def test_nothing_to_ask_needs_no_server(ask: Ask) -> None:
    with serving() as server:
        where = at(server)

    asked = ask(where, [])

    assert asked.error is None
    assert asked.outcomes == []


def test_a_rate_is_kept(ask: Ask) -> None:
    with serving() as server:
        ask(server, many(6), limits=quick(in_flight=6, requests_per_minute=240))

        # four at once, a second's worth; then one each quarter of a second
        moments = [received.at for received in server.received]
        assert all(later - earlier > 0.2 for earlier, later in pairwise(moments[3:]))


def test_tokens_a_minute_are_kept_and_corrected_by_what_was_used(ask: Ask) -> None:
    # 64 tokens of reply may come, and 5 of prompt: at 6,000 a minute, 0.7 s lie between two requests, if all are
    # used. None is: after the first reply, the second need not wait.
    with serving(lambda received: said("x", usage={"prompt_tokens": 0, "completion_tokens": 0})) as server:
        ask(server, many(6), limits=quick(in_flight=1, tokens_per_minute=6000))

        moments = [received.at for received in server.received]
        assert moments[-1] - moments[0] < 2.5

    with serving(lambda received: said("x", usage={"prompt_tokens": 5, "completion_tokens": 64})) as server:
        ask(server, many(4), limits=quick(in_flight=1, tokens_per_minute=6000))

        moments = [received.at for received in server.received]
        # a bucket of a second's worth (100 tokens) goes at once
        assert moments[-1] - moments[0] > 3 * 0.69 - 1.0 - 0.1
