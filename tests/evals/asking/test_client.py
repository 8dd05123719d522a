from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

from align_cli.errors import EndpointError, UsageError
from align_cli.evals.asking.endpoint import endpoint
from tests.evals.asking.conftest import Ask, at, request
from tests.evals.endpoint import serving


def test_a_proxy_is_not_asked_for_a_server_nearby(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    with serving() as server:
        assert ask(at(server)).only.state == "ok"


@pytest.mark.parametrize(
    ("proxy", "words"), [("socks5://me:pass-word-1@p:1", "SOCKS proxy"), ("foo://me:pass-word-1@p:1", "is no address")]
)
def test_a_proxy_that_cannot_be_used_is_said_so(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, proxy: str, words: str
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    monkeypatch.setenv("ALL_PROXY", proxy)

    asked = ask(endpoint("judge", base_url="https://a.example/v1", environ={"OPENAI_API_KEY": "key-0123456789"}))

    assert isinstance(asked.error, UsageError)
    assert words in asked.error.message
    assert "pass-word-1" not in repr(asked)


def test_a_server_that_speaks_no_tls_is_not_asked(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.close()

        threading.Thread(target=refuse, daemon=True).start()
        port = listening.getsockname()[1]

        asked = ask(endpoint("judge", base_url=f"https://127.0.0.1:{port}/v1", environ={}))

        assert isinstance(asked.error, EndpointError)
        assert f"no connection to 127.0.0.1:{port}: TLS: wrong version number;" in asked.error.message


def test_a_key_that_no_header_can_carry_is_sent_as_its_digest(ask: Ask) -> None:
    with serving() as server:
        ask(server, [request("frage/ü\n1")])

        # sha256 of the key's UTF-8
        assert list(server.asked) == ["af1e93c4b60c79bef30845c0e6174d5ef401ae46d3a9ce29abd6979459a7b0c6"]
