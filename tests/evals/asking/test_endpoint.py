from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from align_cli.errors import UsageError
from align_cli.evals.asking.endpoint import Endpoint, endpoint

KEY = "sk-proj-0123456789abcdef"


def made(model: str = "gpt-4o", base_url: str | None = None, key_env: str | None = None, **environ: str) -> Endpoint:
    return endpoint(model, base_url=base_url, key_env=key_env, environ=environ)


def test_without_a_word_it_is_openai_and_its_variable() -> None:
    found = made(OPENAI_API_KEY=KEY)

    assert found.url("chat/completions") == "https://api.openai.com/v1/chat/completions"
    assert found.headers() == {"Authorization": f"Bearer {KEY}"}
    assert found.identity == {"model": "gpt-4o", "endpoint": "https://api.openai.com/v1"}
    assert found.key_source == "OPENAI_API_KEY"


def test_an_option_goes_before_the_environment() -> None:
    environ = {"OPENAI_BASE_URL": "https://b.example/v1", "OPENAI_API_KEY": KEY}

    assert made(**environ).base_url == "https://b.example/v1"
    assert made(base_url="https://a.example/v1/", **environ).base_url == "https://a.example/v1"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/v1", "http://127.0.0.1:1234", "http://[::1]:8000/v1", "http://10.1.2.3/v1",
        "http://192.168.0.7:8000/v1", "http://gpu-node-3:8000/v1", "http://vllm.internal/v1", "http://100.64.1.1/v1",
    ],
)  # fmt: skip
def test_a_server_nearby_needs_no_key(url: str) -> None:
    found = made(base_url=url)

    assert found.is_near
    assert found.headers() == {}


def test_a_server_nearby_gets_the_key_that_is_there() -> None:
    assert made(base_url="http://localhost:8000/v1", OPENAI_API_KEY=KEY).headers() == {"Authorization": f"Bearer {KEY}"}


def test_a_public_host_without_a_key_is_refused_by_the_variable_s_name() -> None:
    with pytest.raises(UsageError, match=r"OPENAI_API_KEY is not set: api\.openai\.com wants a key"):
        made()


def test_a_named_variable_must_be_set_even_for_a_server_nearby() -> None:
    with pytest.raises(UsageError, match="JUDGE_KEY is not set"):
        made(base_url="http://localhost:8000/v1", key_env="JUDGE_KEY", OPENAI_API_KEY=KEY)


def test_the_named_variable_is_the_one_that_counts() -> None:
    found = made(base_url="https://a.example/v1", key_env="JUDGE_KEY", JUDGE_KEY="other-key-1", OPENAI_API_KEY=KEY)

    assert found.headers() == {"Authorization": "Bearer other-key-1"}
    assert found.key_source == "JUDGE_KEY"


def test_whoever_only_looks_needs_no_key() -> None:
    found = endpoint("gpt-4o", needs_key=False, environ={})

    assert found.headers() == {}
    assert endpoint("gpt-4o", key_env="JUDGE_KEY", needs_key=False, environ={}).base_url == found.base_url


def test_a_key_in_place_of_a_variable_s_name_is_not_repeated() -> None:
    with pytest.raises(UsageError, match="name of the variable") as caught:
        made(key_env=KEY)

    assert KEY not in str(caught.value.as_dict())


@pytest.mark.parametrize("key", ["two\nlines-0123456789", "schlüssel-0123456789"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key: str) -> None:
    with pytest.raises(UsageError, match="OPENAI_API_KEY: what it holds is no key") as caught:
        made(OPENAI_API_KEY=key)

    assert key not in str(caught.value.as_dict())


def test_a_key_pasted_with_a_line_break_at_its_end_is_the_key() -> None:
    assert made(OPENAI_API_KEY=f" {KEY}\n").headers() == {"Authorization": f"Bearer {KEY}"}


def test_nothing_that_shows_an_endpoint_shows_its_key() -> None:
    found = made(base_url="https://user:pass-word-1@a.example/v1?key=query-secret-1")
    keyed = made(OPENAI_API_KEY=KEY)

    for one in (found, keyed):
        shown = f"{one!r} {json.dumps(asdict(one))} {one.identity} {one.__dict__}"
        for secret in (KEY, "pass-word-1", "query-secret-1"):
            assert secret not in shown


def test_endpoints_with_different_keys_are_equal() -> None:
    assert made(OPENAI_API_KEY=KEY) == made(OPENAI_API_KEY="another-key-0123")


def test_a_user_in_the_address_is_sent_but_is_no_part_of_the_identity() -> None:
    found = made(base_url="https://me:pa%3Ass-word@A.example:443/v1?tenant=7#top", OPENAI_API_KEY=KEY)

    assert found.identity["endpoint"] == "https://a.example/v1"
    assert found.url("chat/completions") == "https://a.example/v1/chat/completions?tenant=7"
    assert found.headers() == {"Authorization": "Basic bWU6cGE6c3Mtd29yZA=="}  # base64 of me:pa:ss-word
    assert "pa:ss-word" in found.secret_values()


def test_what_is_given_where_no_key_is_needed_is_no_secret() -> None:
    assert made(base_url="http://localhost:8000/v1", OPENAI_API_KEY="EMPTY").secret_values() == ()


def test_an_address_pasted_whole_is_cut_to_its_base() -> None:
    assert made(base_url="http://localhost:8000/v1/chat/completions").base_url == "http://localhost:8000/v1"


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://a.example", "http://", "http://a.example:port/v1", "/v1"])
def test_what_is_no_http_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is no http address"):
        made(base_url=url, OPENAI_API_KEY=KEY)


def test_an_address_that_is_refused_keeps_its_password() -> None:
    with pytest.raises(UsageError) as caught:
        made(base_url="ftp://me:pass-word-1@a.example")

    assert "pass-word-1" not in caught.value.message


def test_azure_s_variables_make_azure_s_address() -> None:
    found = made(
        "my-gpt4",
        AZURE_OPENAI_ENDPOINT="https://res.openai.azure.com/",
        AZURE_OPENAI_API_KEY=KEY,
        OPENAI_API_VERSION="2024-10-21",
    )

    assert found.url("chat/completions") == (
        "https://res.openai.azure.com/openai/deployments/my-gpt4/chat/completions?api-version=2024-10-21"
    )
    assert found.headers() == {"api-key": KEY}
    assert found.identity == {"model": "my-gpt4", "endpoint": "https://res.openai.azure.com"}


def test_azure_s_pasted_target_address_says_all() -> None:
    found = made(
        "my-gpt4",
        base_url="https://res.openai.azure.com/openai/deployments/my-gpt4/chat/completions?api-version=2025-01-01",
        AZURE_OPENAI_API_KEY=KEY,
    )

    assert found.url("chat/completions").endswith("/openai/deployments/my-gpt4/chat/completions?api-version=2025-01-01")


def test_azure_s_newer_address_has_no_version() -> None:
    found = made("my-gpt4", base_url="https://res.openai.azure.com/openai/v1", AZURE_OPENAI_API_KEY=KEY)

    assert found.url("chat/completions") == "https://res.openai.azure.com/openai/v1/chat/completions"
    assert found.headers() == {"api-key": KEY}


def test_azure_without_a_version_is_refused_by_the_variable_s_name() -> None:
    with pytest.raises(UsageError, match="OPENAI_API_VERSION is not set"):
        made(AZURE_OPENAI_ENDPOINT="https://res.openai.azure.com", AZURE_OPENAI_API_KEY=KEY)


def test_two_endpoints_in_the_environment_are_not_chosen_between() -> None:
    environ = {
        "OPENAI_API_KEY": KEY,
        "AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com",
        "AZURE_OPENAI_API_KEY": "azure-key-012345",
        "OPENAI_API_VERSION": "2024-10-21",
    }

    with pytest.raises(UsageError, match="which is to be asked"):
        made(**environ)
    assert made(key_env="OPENAI_API_KEY", **environ).kind == "openai"
    assert made(key_env="AZURE_OPENAI_API_KEY", **environ).kind == "azure"
    assert made(base_url="https://api.openai.com/v1", **environ).kind == "openai"


def test_the_keyring_keeps_a_key_that_no_variable_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring", reason="needs the package keyring")
    from keyring.backend import KeyringBackend

    class Kept(KeyringBackend):
        priority = 1  # type: ignore[assignment]

        def get_password(self, service: str, username: str) -> str | None:
            return KEY if (service, username) == ("align", "api.openai.com") else None

        def set_password(self, service: str, username: str, password: str) -> None: ...

    before = keyring.get_keyring()
    keyring.set_keyring(Kept())
    try:
        found = made()
        assert found.headers() == {"Authorization": f"Bearer {KEY}"}
        assert found.key_source == "keyring"
        assert made(OPENAI_API_KEY="another-key-0123").key_source == "OPENAI_API_KEY"
    finally:
        keyring.set_keyring(before)
