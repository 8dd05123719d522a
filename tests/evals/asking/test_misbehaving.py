"""Every way in which an endpoint misbehaves is a state with its reason, or ends all with an error."""

from __future__ import annotations

import email.utils
import json
import socket
import threading
import time
from typing import Any

import pytest

from align_cli.errors import EndpointError
from align_cli.evals.asking.endpoint import endpoint
from tests.evals.asking.conftest import Ask, at, many, quick, request
from tests.evals.endpoint import Received, Reply, error, said, serving

GOOD = said("Rating: [[7]]")


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (error(500, "The server had an error"), "HTTP 500: The server had an error"),
        (Reply(status=502, body=b"<html>Bad Gateway</html>"), "HTTP 502: a web page"),
        (error(503, "no room"), "HTTP 503: no room"),
        (error(529, "Overloaded"), "HTTP 529: Overloaded"),
        (error(429, "slow down"), "HTTP 429: slow down"),
        (error(408), "HTTP 408: no reason"),
        (Reply(drop=True), "broke off without a reply"),
        (Reply(**{**GOOD.__dict__, "cut": 10}), "broke off after 10 bytes"),
        (Reply(body=b'{"choices": [{"mes'), "broken JSON"),
        (Reply(body=b"<html>Log in</html>"), "web page"),
        (Reply(body=b""), "empty"),
        (Reply(document={"error": {"code": 502, "message": "Provider returned error"}}), "HTTP 502: Provider returned"),
        (Reply(document={"choices": []}), "choices are empty"),
        (said(None), "no content"),
        (Reply(body=b"nonsense", headers={"Content-Encoding": "gzip"}), "cannot be decoded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_that_passes_is_got_over_and_told(ask: Ask, fault: Reply, why: str) -> None:
    with serving(lambda received: GOOD) as server:
        server.next(fault)

        outcome = ask(server).only

        assert (outcome.state, outcome.text, outcome.why) == ("ok", "Rating: [[7]]", "")
        first, second = outcome.attempts
        assert why in first["why"]
        assert second["why"] == ""
        assert second["status"] == 200
        assert second["waited"] > 0
        assert server.asked["a"] == 2


@pytest.mark.parametrize(
    ("fault", "attempts", "why"),
    [
        (error(500, "The server had an error"), 5, "HTTP 500: The server had an error; 5 attempts"),
        # what may have been paid for is asked for less often
        (Reply(drop=True), 3, "the connection broke off without a reply: "),
        (said(None), 3, "the reply has no content; 3 attempts"),
        (Reply(body=b"<html>"), 3, "the reply is a web page, not JSON: is this the API's address?; 3 attempts"),
    ],
)
def test_a_fault_that_stays_is_a_failure_with_its_reason(ask: Ask, fault: Reply, attempts: int, why: str) -> None:
    with serving(lambda received: fault if received.key == "bad" else GOOD) as server:
        asked = ask(server, [*many(3), request("bad")], limits=quick(attempts=5))

        assert asked.error is None
        failed = next(outcome for outcome in asked.outcomes if outcome.key == "bad")
        assert (failed.state, failed.text) == ("failed", "")
        assert failed.why.startswith(why)
        assert len(failed.attempts) == attempts
        assert asked.tally is not None
        assert asked.tally.states == {"failed": 1, "ok": 3}


def test_a_reply_that_does_not_begin_in_time_is_a_failure(ask: Ask) -> None:
    with serving(lambda received: Reply(**{**GOOD.__dict__, "after": 20})) as server:
        outcome = ask(server, limits=quick(timeout_s=0.1)).only

        assert (outcome.state, outcome.why) == ("failed", "no reply within 0.1 s; 3 attempts")


def test_a_reply_that_stops_in_its_middle_is_a_failure(ask: Ask) -> None:
    with serving(lambda received: Reply(**{**GOOD.__dict__, "stall": 7})) as server:
        outcome = ask(server, limits=quick(timeout_s=0.1)).only

        assert (outcome.state, outcome.why) == ("failed", "only 7 bytes of a reply within 0.1 s; 3 attempts")


@pytest.mark.parametrize(
    ("reply", "state", "text"),
    [
        (said("half a", finish="length"), "length", "half a"),
        (said("I", finish="content_filter"), "filtered", "I"),
        (error(400, "filtered", code="content_filter"), "filtered", ""),
        (
            error(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
            "too_long",
            "",
        ),
        (said(None, refusal="I will not."), "refused", ""),
        (said([{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]), "ok", "in parts"),
        (error(418, "a teapot"), "refused", ""),
        (error(400, "max_tokens is too large: 9. At most 4.", param="max_tokens"), "refused", ""),
    ],
)
def test_what_would_come_again_is_asked_for_once(ask: Ask, reply: Reply, state: str, text: str) -> None:
    with serving(lambda received: reply) as server:
        outcome = ask(server).only

        assert (outcome.state, outcome.text) == (state, text)
        assert bool(outcome.why) == (state != "ok")
        assert outcome.reply == reply.document
        assert server.asked["a"] == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "1"}, 1.0),
        ({"retry-after-ms": "300"}, 0.3),
        ({"Retry-After": "THEN", "Date": "NOW"}, 1.0),
        ({}, 0.25),
    ],
)
def test_an_endpoint_s_wish_to_wait_holds_everybody(ask: Ask, headers: dict[str, str], seconds: float) -> None:
    now = time.time()
    dates = {"NOW": email.utils.formatdate(now), "THEN": email.utils.formatdate(now + 1)}
    said_headers = {name: dates.get(value, value) for name, value in headers.items()}
    words = "slow down" if headers else "Rate limit reached. Please try again in 250ms."
    with serving(lambda received: GOOD) as server:
        server.next(error(429, words, headers=said_headers))

        asked = ask(server, many(12), limits=quick(in_flight=1))

        assert asked.states == ["ok"] * 12
        first, *others = server.received
        assert min(other.at for other in others) - first.at >= seconds


def test_a_refusal_for_the_rate_holds_back_those_who_were_not_refused(ask: Ask) -> None:
    def answer(received: Received) -> Reply:
        if received.key == "000" and received.nth == 1:
            return error(429, "slow down", headers={"retry-after-ms": "400"})
        return Reply(**{**GOOD.__dict__, "after": 0.1})

    with serving(answer) as server:
        ask(server, many(20), limits=quick(in_flight=4))

        refused = next(received.at for received in server.received if received.key == "000")
        held = [received for received in server.received if 0.1 < received.at - refused < 0.4]
        assert held == []
        assert len(server.received) == 21


def test_without_a_wish_waits_grow(ask: Ask) -> None:
    with serving(lambda received: GOOD) as server:
        server.next(*[error(429, "slow down")] * 5)

        outcome = ask(server, limits=quick(backoff_s=0.02, longest_backoff_s=10)).only

        waits = [attempt["waited"] for attempt in outcome.attempts[1:]]
        # 0.02 s doubled each time, of which a random half may be missing
        assert [wait >= 0.02 * 2**number / 2 for number, wait in enumerate(waits)] == [True] * 5


def test_refusals_for_the_rate_are_no_attempts(ask: Ask) -> None:
    with serving(lambda received: GOOD) as server:
        server.next(*[reply for _ in range(6) for reply in (error(429, headers={"retry-after-ms": "1"}),)])

        outcome = ask(server, limits=quick(attempts=8, paid_attempts=1)).only

        assert outcome.state == "ok"
        assert len(outcome.attempts) == 7


def test_too_many_at_once_are_soon_fewer(ask: Ask) -> None:
    def answer(received: Received) -> Reply:
        return error(429, "slow down") if server._in_flight > 3 else Reply(**{**GOOD.__dict__, "after": 0.01})

    with serving(answer) as server:
        asked = ask(server, many(60), limits=quick(in_flight=16, backoff_s=0.02))

        assert asked.states == ["ok"] * 60


def test_a_used_up_quota_ends_all_at_once(ask: Ask) -> None:
    with serving(key="key-0123456789") as server:
        server.answer = lambda received: error(429, "You exceeded your current quota.", code="insufficient_quota")

        asked = ask(at(server, OPENAI_API_KEY="key-0123456789"), many(50), limits=quick(in_flight=2))

        assert isinstance(asked.error, EndpointError)
        assert "the quota of the key in OPENAI_API_KEY is used up" in asked.error.message
        assert asked.outcomes == []
        assert len(server.received) <= 2


def test_a_refused_key_ends_all_at_once_by_the_variable_s_name(ask: Ask) -> None:
    key = "key-that-has-expired"
    with serving(key="another-key-0123") as server:
        where = endpoint("judge", base_url=server.base_url, key_env="JUDGE_KEY", environ={"JUDGE_KEY": key})

        asked = ask(where, many(50), limits=quick(in_flight=2))

        assert isinstance(asked.error, EndpointError)
        assert (
            "the key in JUDGE_KEY is refused (HTTP 401: Incorrect API key provided: <removed>.)" in asked.error.message
        )
        assert key not in json.dumps(asked.error.as_dict())
        assert len(server.received) <= 2


def test_a_key_that_expires_on_the_way_keeps_what_was_answered(ask: Ask) -> None:
    with serving(lambda received: GOOD if len(server.received) <= 5 else error(401, "expired")) as server:
        asked = ask(server, many(50), limits=quick(in_flight=1))

        assert isinstance(asked.error, EndpointError)
        assert "wants a key, and none was sent" in asked.error.message
        assert asked.states == ["ok"] * 5


def test_a_missing_model_s_neighbours_are_named(ask: Ask) -> None:
    with serving(models=("gpt-4o", "gpt-4o-mini", "whisper-1")) as server:
        asked = ask(at(server, model="gpt-4p"), many(9))

        assert isinstance(asked.error, EndpointError)
        assert 'there is no model "gpt-4p"' in asked.error.message
        assert asked.error.hint == "it has gpt-4o, gpt-4o-mini, …"


def test_an_address_without_completions_is_told_from_a_missing_model(ask: Ask) -> None:
    with serving(lambda received: Reply(status=404, document={"detail": "Not Found"})) as server:
        asked = ask(server)

        assert isinstance(asked.error, EndpointError)
        assert "there are no chat completions here" in asked.error.message


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(ask: Ask, status: int) -> None:
    with serving() as other, serving() as server:
        moved = Reply(status=status, headers={"Location": f"{other.base_url}/chat/completions?who=me"})
        server.answer = lambda received: moved

        asked = ask(at(server, OPENAI_API_KEY="key-0123456789"))

        assert isinstance(asked.error, EndpointError)
        assert f"HTTP {status} to {other.base_url}/chat/completions;" in asked.error.message
        assert other.received == []


def test_a_server_that_does_not_run_is_given_up_soon(ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = endpoint("judge", base_url=f"http://127.0.0.1:{port}/v1", environ={})

    asked = ask(where, many(200))

    assert isinstance(asked.error, EndpointError)
    assert asked.error.message == (
        f"no connection to 127.0.0.1:{port}: Connection refused; 3 times in a row, and no reply between"
    )
    assert asked.outcomes == []


def test_a_host_that_nobody_knows_is_given_up_soon(ask: Ask) -> None:
    asked = ask(endpoint("judge", base_url="http://no-such-host.invalid/v1", environ={"OPENAI_API_KEY": "k"}))

    assert isinstance(asked.error, EndpointError)
    assert "no connection to no-such-host.invalid" in asked.error.message


@pytest.mark.parametrize("fault", [error(500), error(503), Reply(drop=True), Reply(body=b"<html>"), error(429)])
def test_an_endpoint_that_breaks_down_ends_all_and_what_was_answered_is_kept(ask: Ask, fault: Reply) -> None:
    with serving(lambda received: GOOD if len(server.received) <= 10 else fault) as server:
        asked = ask(server, many(500), limits=quick(attempts=5))

        assert isinstance(asked.error, EndpointError)
        assert asked.states == ["ok"] * 10  # and no failure: another time they are asked as if never before
        assert len(server.received) < 60


def test_an_endpoint_that_comes_back_is_asked_on(ask: Ask) -> None:
    with serving(lambda received: error(503) if 10 < len(server.received) < 16 else GOOD) as server:
        asked = ask(server, many(60))

        assert asked.states == ["ok"] * 60


def test_one_request_that_always_breaks_it_does_not_end_the_others(ask: Ask) -> None:
    with serving(lambda received: error(500) if received.words == "Question 0" else GOOD) as server:
        asked = ask(server, many(30), limits=quick(in_flight=1, attempts=3))

        assert asked.error is None
        assert asked.states == ["failed"] + ["ok"] * 29


def test_a_last_request_that_always_breaks_it_is_a_failure_not_a_breakdown(ask: Ask) -> None:
    with serving(lambda received: error(500) if received.words == "Question 9" else GOOD) as server:
        asked = ask(server, many(10), limits=quick(in_flight=1, attempts=3))

        assert asked.error is None
        assert asked.states == ["ok"] * 9 + ["failed"]


def test_a_wait_of_hours_is_not_waited_for(ask: Ask) -> None:
    with serving(lambda received: error(429, "daily limit", headers={"Retry-After": "14400"})) as server:
        asked = ask(server, many(5))

        assert isinstance(asked.error, EndpointError)
        assert "asks to wait for 4.0 h" in asked.error.message


def test_nothing_but_refusals_ends_all_and_is_not_kept(ask: Ask) -> None:
    with serving(lambda received: error(400, "messages: unheard of", param="messages")) as server:
        asked = ask(server, many(200))

        assert isinstance(asked.error, EndpointError)
        assert "refused the first 10 requests" in asked.error.message
        assert "messages: unheard of" in asked.error.message
        assert asked.outcomes == []


def test_refusals_are_kept_once_another_request_is_answered(ask: Ask) -> None:
    with serving(lambda received: GOOD if received.key == "005" else error(400, "odd")) as server:
        asked = ask(server, many(30), limits=quick(in_flight=1))

        assert asked.error is None
        assert sorted(asked.states) == ["ok"] + ["refused"] * 29


def test_refusals_alone_are_kept_where_they_are_few(ask: Ask) -> None:
    with serving(lambda received: error(400, "odd")) as server:
        assert ask(server, many(3)).states == ["refused"] * 3


def strict(**refused: str) -> Any:
    """A model that refuses some parameters, as o3 and gpt-5 do."""

    def answer(received: Received) -> Reply:
        for name, message in refused.items():
            if name in received.document:
                return error(400, message, param=name, code="unsupported_parameter")
        return GOOD

    return answer


MAX_TOKENS = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)
TEMPERATURE = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported."


def test_what_a_model_does_not_take_is_learnt_once_and_told(ask: Ask) -> None:
    with serving(strict(max_tokens=MAX_TOKENS, temperature=TEMPERATURE)) as server:
        asked = ask(server, many(20), limits=quick(in_flight=1))

        assert asked.states == ["ok"] * 20
        assert len(server.received) == 22
        assert server.received[-1].document.keys() == {"model", "messages", "max_completion_tokens"}
        assert asked.outcomes[-1].parameters == {"max_completion_tokens": 64}
        assert asked.tally is not None
        assert [note.partition(" (")[0] for note in asked.tally.notes] == [
            "judge does not take max_tokens: it is sent as max_completion_tokens",
            "judge does not take temperature=0: it is left out, and the model's own default holds",
        ]
        assert asked.said == [f"note: {note}" for note in asked.tally.notes]


def test_it_is_learnt_once_by_many_at_a_time(ask: Ask) -> None:
    with serving(strict(max_tokens=MAX_TOKENS, temperature=TEMPERATURE), latency=0.01) as server:
        asked = ask(server, many(40), limits=quick(in_flight=8))

        assert asked.states == ["ok"] * 40
        assert len(asked.said) == 2


def test_a_parameter_that_cannot_be_done_without_ends_all(ask: Ask) -> None:
    with serving(strict(logprobs="Unsupported parameter: 'logprobs' is not supported with this model.")) as server:
        asked = ask(server, [request(logprobs=True)])

        assert isinstance(asked.error, EndpointError)
        assert asked.error.message.startswith("judge does not take logprobs")


def test_a_model_that_takes_neither_name_is_not_asked_for_ever(ask: Ask) -> None:
    both = strict(max_tokens=MAX_TOKENS, max_completion_tokens="Unsupported parameter: 'max_completion_tokens'.")
    with serving(both) as server:
        asked = ask(server)

        assert isinstance(asked.error, EndpointError)
        assert len(server.received) == 2


def test_a_key_that_the_server_repeats_is_in_no_outcome(ask: Ask) -> None:
    key = "key-that-is-secret"

    def echo(received: Received) -> Reply:
        words = f"{received.headers['authorization']}!"
        replies = {"000": error(400, words), "001": Reply(status=500, body=words.encode()), "002": said(words)}
        return replies[received.key]

    with serving(echo) as server:
        asked = ask(at(server, OPENAI_API_KEY=key), many(3), limits=quick(attempts=2))

        assert sorted(asked.states) == ["failed", "ok", "refused"]
        assert key not in repr(asked)
        assert "Bearer <removed>!" in repr(asked.outcomes)


def test_a_server_that_is_slow_to_take_connections_loses_nothing(ask: Ask) -> None:
    gate = threading.Event()
    threading.Timer(0.2, gate.set).start()
    with serving(lambda received: Reply(**{**GOOD.__dict__, "until": gate})) as server:
        asked = ask(server, many(100), limits=quick(in_flight=64))

        assert asked.states == ["ok"] * 100
