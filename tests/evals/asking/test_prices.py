from __future__ import annotations

import re
import threading
import tomllib
from pathlib import Path

import pytest

from align_cli.errors import AlignError, EndpointError, UsageError
from align_cli.evals.asking import prices as module
from align_cli.evals.asking.outcome import Request
from align_cli.evals.asking.prices import Prices, estimate, prices_of
from tests.evals.asking.conftest import Ask, many, quick, request
from tests.evals.endpoint import Received, Reply, error, said, serving

#: A dollar for a thousand tokens of either kind: costs can be read off.
DOLLARS = Prices(prompt=1000.0, completion=1000.0, source="by hand")


@pytest.mark.parametrize(
    ("model", "pair"),
    [
        ("gpt-4", (30, 60)),
        ("gpt-4-0613", (30, 60)),
        ("gpt-4-1106-preview", (10, 30)),
        ("gpt-4-turbo-2024-04-09", (10, 30)),
        ("gpt-4o", (2.5, 10)),
        ("gpt-4o-2024-08-06", (2.5, 10)),
        ("gpt-4o-2024-05-13", (5, 15)),
        ("openai/gpt-4o-mini", (0.15, 0.6)),
        ("claude-sonnet-4-5-20250929", (3, 15)),
        ("models/gemini-2.5-pro", (1.25, 10)),
    ],
)
def test_a_known_model_s_prices_and_those_of_its_snapshots(model: str, pair: tuple[float, float]) -> None:
    found = prices_of(model)

    assert found is not None
    assert (found.prompt, found.completion) == pair


@pytest.mark.parametrize("model", ["zephyr-7b", "gpt-4o-mini-audio", "gpt", ""])
def test_nobody_knows_the_price_of_another(model: str) -> None:
    assert prices_of(model) is None


def test_every_price_has_a_page_and_a_date() -> None:
    table = tomllib.loads((Path(module.__file__).parent / "prices.toml").read_text(encoding="utf-8"))

    models = [name for one in table["providers"] for name in one["models"]]
    assert len(models) == len(set(models)) > 50
    for one in table["providers"]:
        assert one["page"].startswith("https://")
        assert re.fullmatch(r"20\d\d-\d\d", one["date"])
        assert all(0 < prompt < completion for prompt, completion in one["models"].values())


def test_given_prices_go_before_the_table() -> None:
    found = prices_of("gpt-4", "2.5, 10")

    assert found == Prices(prompt=2.5, completion=10.0, source="--price")


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "-1,2", "nan,1", "inf,1"])
def test_what_are_no_two_prices_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="these are no two prices"):
        prices_of("gpt-4", text)


def test_an_estimate_is_arithmetic() -> None:
    # 400 letters are likely 100 tokens and at most 400; 4 more a message, and at most 8, and 8 for the reply's head
    one = Request(key="a", messages=[{"role": "user", "content": "abcd" * 100}], parameters={"max_tokens": 2048})
    short = Request(key="b", messages=[{"role": "user", "content": "ééé"}], parameters={"max_tokens": 1})

    found = estimate([one, short], Prices(prompt=30, completion=60, source=""))

    assert (found.requests, found.prompt_tokens, found.completion_tokens) == (2, 104 + 7, 250 + 1)
    assert found.likely == pytest.approx((111 * 30 + 251 * 60) / 1e6)
    assert found.at_most == pytest.approx(((400 + 16 + 6 + 16) * 30 + 2049 * 60) / 1e6)


def test_without_a_price_an_estimate_has_tokens_alone() -> None:
    found = estimate(many(3), None)

    assert found.prompt_tokens > 0
    assert (found.likely, found.at_most) == (None, None)


def test_without_a_limit_of_the_reply_there_is_no_most() -> None:
    found = estimate([Request(key="a", messages=[])], DOLLARS)

    assert found.likely is not None
    assert found.at_most is None


def test_a_reply_s_cost_is_of_the_tokens_that_the_endpoint_counts(ask: Ask) -> None:
    with serving(lambda received: said("x", usage={"prompt_tokens": 30, "completion_tokens": 12})) as server:
        asked = ask(server, many(3), prices=DOLLARS)

        assert [outcome.cost for outcome in asked.outcomes] == [pytest.approx(0.042)] * 3
        assert asked.tally is not None
        assert asked.tally.cost == pytest.approx(0.126)
        assert (asked.tally.prompt_tokens, asked.tally.completion_tokens) == (90, 36)


def test_a_reply_that_cannot_be_used_is_paid_for_too(ask: Ask) -> None:
    with serving(lambda received: said("x", usage={"prompt_tokens": 30, "completion_tokens": 12})) as server:
        server.next(said(None, usage={"prompt_tokens": 30, "completion_tokens": 0}))

        assert ask(server, prices=DOLLARS).only.cost == pytest.approx(0.072)


def test_without_prices_there_is_no_cost(ask: Ask) -> None:
    with serving() as server:
        asked = ask(server)

        assert asked.only.cost is None
        assert asked.tally is not None
        assert asked.tally.cost is None


def test_a_cap_without_prices_is_refused_before_the_first_call(ask: Ask) -> None:
    with serving() as server:
        asked = ask(server, max_cost=1.0)

        assert isinstance(asked.error, UsageError)
        assert "the prices of judge are not known" in asked.error.message
        assert server.received == []


def test_a_cap_on_replies_without_a_limit_is_refused(ask: Ask) -> None:
    with serving() as server:
        asked = ask(server, [Request(key="a", messages=[])], prices=DOLLARS, max_cost=1.0)

        assert isinstance(asked.error, UsageError)
        assert server.received == []


@pytest.mark.parametrize("in_flight", [1, 3, 16])
@pytest.mark.parametrize("max_cost", [0.05, 0.31, 1.0, 2.9])
def test_a_cap_holds_though_every_reply_takes_all_it_may(ask: Ask, in_flight: int, max_cost: float) -> None:
    def longest(received: Received) -> Reply:
        prompt = len(received.words.encode()) + 16  # as many as there can be
        return said("x", usage={"prompt_tokens": prompt, "completion_tokens": received.document["max_tokens"]})

    with serving(longest) as server:
        asked = ask(server, many(40), prices=DOLLARS, max_cost=max_cost, limits=quick(in_flight=in_flight))

        # a request: 11 or 10 bytes of prompt, 16 around it, 64 tokens of reply: 9 cents
        spent = sum(outcome.cost or 0 for outcome in asked.outcomes)
        assert max_cost - 0.091 < spent <= max_cost or not asked.outcomes
        assert isinstance(asked.error, AlignError)
        assert asked.error.exit_code == 1
        assert len(server.received) == len(asked.outcomes)
        assert (
            f"{len(asked.outcomes)} requests are answered, {40 - len(asked.outcomes)} are left" in asked.error.message
        )


def test_what_short_replies_leave_is_spent_on_others(ask: Ask) -> None:
    with serving(lambda received: said("x", usage={"prompt_tokens": 5, "completion_tokens": 5})) as server:
        asked = ask(server, iter(many(40)), prices=DOLLARS, max_cost=0.3, limits=quick(in_flight=8))

        # a cent each, and nine for the next that may not be sent
        assert 20 <= len(asked.outcomes) <= 22
        assert isinstance(asked.error, AlignError)
        assert f"${len(asked.outcomes) / 100:.2f} of $0.30 is spent" in asked.error.message
        assert f"{40 - len(asked.outcomes)} are left" in asked.error.message


def test_a_cap_that_suffices_is_not_noticed(ask: Ask) -> None:
    with serving() as server:
        assert ask(server, many(5), prices=DOLLARS, max_cost=1000).error is None


def test_a_lost_reply_counts_as_if_it_had_been_paid_for(ask: Ask) -> None:
    with serving(lambda received: Reply(drop=True)) as server:
        asked = ask(server, [request()], prices=DOLLARS, max_cost=0.2)

        # nine cents may have been paid twice: there is no room for a third attempt
        assert len(server.received) == 2
        assert isinstance(asked.error, AlignError)
        assert not isinstance(asked.error, EndpointError)
        assert "$0.00 of $0.20 is spent and perhaps $0.19 more on replies that were lost" in asked.error.message


def test_a_refused_request_costs_nothing(ask: Ask) -> None:
    with serving(lambda received: error(503) if received.nth < 5 else said("x")) as server:
        asked = ask(server, [request()], prices=DOLLARS, max_cost=0.2)

        assert asked.only.state == "ok"


def test_lost_replies_are_in_the_tally(ask: Ask) -> None:
    with serving() as server:
        server.next(Reply(drop=True))
        asked = ask(server, [request(words="abc")], prices=DOLLARS)

        assert asked.tally is not None
        assert asked.tally.unsure == 1
        assert asked.tally.unsure_cost == pytest.approx((3 + 16 + 64) / 1000)


def test_money_waits_for_those_under_way(ask: Ask) -> None:
    gate = threading.Event()

    def answer(received: Received) -> Reply:
        if len(server.received) == 2:
            gate.set()
        usage = {"prompt_tokens": 5, "completion_tokens": 5}
        return Reply(**{**said("x", usage=usage).__dict__, "until": gate})

    with serving(answer) as server:
        # room for two at a time, though four may be in flight
        asked = ask(server, many(4), prices=DOLLARS, max_cost=0.21, limits=quick(in_flight=4))

        assert asked.states == ["ok"] * 4
        assert server.most_in_flight == 2
