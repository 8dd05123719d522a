from __future__ import annotations

from collections.abc import Iterator

import pytest
from huggingface_hub.errors import HfHubHTTPError

from align_cli.errors import EndpointError, UsageError
from align_cli.runs.push import faults as hub_faults
from tests.runs.hub_server import TOKEN, Fault, Hub, serve

pytestmark = pytest.mark.slow


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serve() as served:
        yield served


@pytest.fixture
def ask(hub):
    """Ask who I am, patiently; the result, and the pauses that were made."""
    from huggingface_hub import HfApi, close_session

    close_session()
    pauses: list[float] = []
    api = HfApi(endpoint=hub.endpoint, token=TOKEN)

    def call(**options):
        return hub_faults.patiently(api.whoami, say=lambda line: None, what="asking", sleep=pauses.append, **options)

    yield call, pauses
    close_session()


def test_a_fault_that_passes_costs_one_pause(hub, ask):
    call, pauses = ask
    hub.faults = [Fault("whoami", status=500)]

    assert call()["name"] == "me"
    assert pauses == [1.0]


def test_pauses_grow_and_end(hub, ask):
    call, pauses = ask
    hub.faults = [Fault("whoami", status=503, times=99)]

    with pytest.raises(HfHubHTTPError, match="503"):
        call()

    assert pauses == [1.0, 2.0, 4.0, 8.0]
    assert hub.asked("whoami") == 5


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "17"}, {"RateLimit": '"api";r=0;t=17', "RateLimit-Policy": '"fixed window";q=5;w=300'}]
)
def test_the_pause_that_the_hub_asks_for_is_kept(hub, ask, headers):
    call, pauses = ask
    hub.faults = [Fault("whoami", status=429, headers=headers)]

    call()

    assert pauses == [17.0]


def test_an_hour_is_not_waited(hub, ask):
    call, pauses = ask
    hub.faults = [Fault("whoami", status=429, headers={"Retry-After": "3600"})]

    with pytest.raises(HfHubHTTPError) as caught:
        call()

    assert pauses == []
    error = hub_faults.explained(caught.value)
    assert isinstance(error, EndpointError)
    assert error.message == "the Hub takes no more requests from you for now; it asks to wait 3,600 s"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_what_does_not_pass_is_not_tried_again(hub, ask, status):
    call, pauses = ask
    hub.faults = [Fault("whoami", status=status)]

    with pytest.raises(HfHubHTTPError):
        call()

    assert pauses == []


def test_a_dropped_connection_passes_but_a_refused_first_one_does_not(hub, ask):
    call, pauses = ask
    hub.faults = [Fault("whoami", drops=True)]
    call(knows_the_hub=False)
    assert pauses == [1.0]

    from huggingface_hub import HfApi

    api = HfApi(endpoint="http://127.0.0.1:9", token=TOKEN)
    with pytest.raises(Exception, match=r".*") as caught:
        hub_faults.patiently(api.whoami, say=print, what="asking", knows_the_hub=False, sleep=pauses.append)
    assert pauses == [1.0]
    assert "the Hub cannot be reached" in hub_faults.explained(caught.value).message


def test_an_error_of_the_large_files_library_is_read_from_its_words():
    said = "Network error: Request error: HTTP status client error (403 Forbidden), domain: http://x/xet-write-token"

    error = hub_faults.explained(ConnectionError(said), repo="them/model", user="me")

    assert isinstance(error, UsageError)
    assert error.message == "the token of me may not write to them/model"


def test_a_token_in_a_librarys_words_is_removed(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-token-of-no-known-shape")

    error = hub_faults.explained(RuntimeError("could not send with a-token-of-no-known-shape"))

    assert "a-token" not in error.message + error.hint
