"""What endpoints really send, and what it is read as. Bodies are upstream's own, cut to what matters."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.evals.asking.complaints import Complaint
from align_cli.evals.asking.faults import Fault, asked_wait
from align_cli.evals.asking.replies import Reply, read

OVERLONG = (
    "This model's maximum context length is 2048 tokens. However, you requested 2600 tokens (552 in the messages, "
    "2048 in the completion). Please reduce the length of the messages or completion."
)


def reply(document: Any, status: int = 200, **headers: str) -> Reply:
    return read(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(document).encode()
    )


def fault(document: Any, status: int = 200, **headers: str) -> Fault:
    with pytest.raises(Fault) as caught:
        reply(document, status, **headers)
    return caught.value


def completion(message: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}


def test_a_completion_is_its_text_and_its_tokens() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    document = completion({"role": "assistant", "content": "Hello!"}, usage=usage)

    found = reply(document)

    assert (found.state, found.text, found.usage) == ("ok", "Hello!", {"prompt_tokens": 9, "completion_tokens": 12})
    assert found.document == document


def test_what_a_model_thought_is_counted_where_only_the_total_has_it() -> None:
    # Gemini's compatible endpoint
    found = reply(completion({"content": "4"}, usage={"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 50}))

    assert found.usage == {"prompt_tokens": 5, "completion_tokens": 45}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}], "Hello"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "4"}], "4"),
        ("", ""),
    ],
)
def test_text_in_parts_is_put_together(content: Any, text: str) -> None:
    found = reply(completion({"content": content}))

    assert (found.state, found.text) == ("ok", text)


@pytest.mark.parametrize(
    ("message", "finish", "state", "text"),
    [
        ({"content": "half a"}, "length", "length", "half a"),
        ({"content": None}, "length", "length", ""),
        ({"content": "I"}, "content_filter", "filtered", "I"),
        ({"content": None}, "content_filter: PROHIBITED_CONTENT", "filtered", ""),  # Gemini
        ({"content": None, "refusal": "I can't help with that."}, "stop", "refused", ""),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "stop", "refused", ""),
        ({"content": "fine"}, None, "ok", "fine"),
        ({"content": "fine"}, "eos", "ok", "fine"),  # TGI
    ],
)
def test_how_a_reply_ends_is_its_state(message: Any, finish: str | None, state: str, text: str) -> None:
    found = reply(completion(message, finish))

    assert (found.state, found.text) == (state, text)
    assert bool(found.why) == (state != "ok")


def test_a_reply_that_was_all_reasoning_says_so() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 64, "completion_tokens_details": {"reasoning_tokens": 64}}

    assert "64 tokens went into reasoning" in reply(completion({"content": ""}, "length", usage=usage)).why


@pytest.mark.parametrize(
    "document",
    [
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        {"object": "chat.completion"},
        [],
        None,
        7,
        completion({"content": None}),
        completion(None),
        completion({"content": 5}),
        completion({"content": []}),
        completion({"content": "x"}, "error"),
    ],
)
def test_a_completion_that_says_nothing_is_asked_for_again(document: Any) -> None:
    assert fault(document).kind == "unusable"


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"choices": [{"mess', "lost", "broken JSON"),
        (b"", "unusable", "empty"),
        (b"<!DOCTYPE html><html>Sign in</html>", "unusable", "web page"),
        (b"\xff\xfe\x00", "lost", "broken JSON"),
        (b"[" * 100_000, "unusable", "nested too deeply"),
    ],
)
def test_what_is_no_json_is_a_fault(body: bytes, kind: str, words: str) -> None:
    with pytest.raises(Fault, match=words) as caught:
        read(200, {}, body)

    assert caught.value.kind == kind


ERRORS: list[tuple[str, int, Any, str]] = [
    (
        "OpenAI, no money left",
        429,
        {"error": {"message": "You exceeded your current quota, please check your plan and billing details.",
                   "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}},
        "quota",
    ),
    (
        "OpenAI, too fast",
        429,
        {"error": {"message": "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000"
                   ", Used 29000, Requested 2000. Please try again in 2s.", "type": "tokens",
                   "code": "rate_limit_exceeded"}},
        "limited",
    ),
    (
        "OpenAI, a prompt that no minute has room for",
        429,
        {"error": {"message": "Request too large for gpt-4 in organization org-x on tokens per min (TPM): Limit 10000, "
                   "Requested 12000.", "type": "tokens", "code": "rate_limit_exceeded"}},
        "too_long",
    ),
    (
        "Gemini, too fast; the same words as OpenAI's lack of money, in a list",
        429,
        [{"error": {"code": 429, "message": "You exceeded your current quota, please check your plan and billing "
                    "details. Please retry in 17.30897372s.", "status": "RESOURCE_EXHAUSTED"}}],
        "limited",
    ),
    (
        "Gemini, the day's share is used up",
        429,
        [{"error": {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED",
                    "details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]}}],
        "quota",
    ),
    ("DeepSeek, no money left", 402, {"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}},
     "quota"),
    (
        "OpenAI, a wrong key",
        401,
        {"error": {"message": "Incorrect API key provided: sk-abc.", "type": "invalid_request_error",
                   "code": "invalid_api_key"}},
        "unauthorised",
    ),
    ("Gemini, a wrong key", 400,
     [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}], "unauthorised"),
    ("a region", 403, {"error": {"message": "Country not supported", "code": "unsupported_country_region_territory"}},
     "unauthorised"),
    (
        "OpenRouter, flagged",
        403,
        {"error": {"code": 403, "message": "Your input was moderated", "metadata": {"reasons": ["violence"]}}},
        "filtered",
    ),
    (
        "Azure, content filter",
        400,
        {"error": {"message": "The response was filtered due to the prompt triggering Azure OpenAI's content management"
                   " policy.", "type": None, "param": "prompt", "code": "content_filter",
                   "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        "filtered",
    ),
    (
        "OpenAI, context",
        400,
        {"error": {"message": OVERLONG, "type": "invalid_request_error", "param": "messages",
                   "code": "context_length_exceeded"}},
        "too_long",
    ),
    ("vLLM before 0.10, context", 400,
     {"object": "error", "message": OVERLONG, "type": "BadRequestError", "param": None, "code": 400}, "too_long"),
    ("vLLM, a prompt longer than its context", 400,
     {"object": "error", "message": "max_tokens must be at least 1, got -186.", "type": "BadRequestError"}, "too_long"),
    (
        "llama.cpp, context, as it was first",
        500,
        {"error": {"code": 500, "message": "the request exceeds the available context size.",
                   "type": "exceed_context_size_error", "n_prompt_tokens": 1407, "n_ctx": 256}},
        "too_long",
    ),
    (
        "Anthropic, context",
        400,
        {"error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}},
        "too_long",
    ),
    ("OpenAI, no such model", 404,
     {"error": {"message": "The model `gpt-9` does not exist or you do not have access to it.",
                "code": "model_not_found"}}, "no_model"),
    ("Ollama, no such model", 404,
     {"error": {"message": 'model "llama9" not found, try pulling it first', "type": "api_error"}}, "no_model"),
    ("Azure, no such deployment", 404,
     {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}},
     "no_model"),
    ("OpenRouter, no such model", 400, {"error": {"message": "foo/bar is not a valid model ID", "code": 400}},
     "no_model"),
    ("OpenAI, no chat model", 404,
     {"error": {"message": "This is not a chat model and thus not supported in the v1/chat/completions endpoint."}},
     "no_chat"),
    ("FastAPI, another path", 404, {"detail": "Not Found"}, "no_chat"),
    (
        "OpenAI, max_tokens",
        400,
        {"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                   "'max_completion_tokens' instead.", "param": "max_tokens", "code": "unsupported_parameter"}},
        "parameter",
    ),
    (
        "OpenAI, temperature",
        400,
        {"error": {"message": "Unsupported value: 'temperature' does not support 0 with this model. Only the "
                   "default (1) value is supported.", "param": "temperature", "code": "unsupported_value"}},
        "parameter",
    ),
    (
        "Anthropic, temperature",
        400,
        {"error": {"code": "invalid_request_error", "message": "`temperature` is deprecated for this model.",
                   "type": "invalid_request_error", "param": None}},
        "parameter",
    ),
    (
        "Mistral, seed",
        422,
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
        "parameter",
    ),
    (
        "OpenAI, a value",
        400,
        {"error": {"message": "max_tokens is too large: 16000. This model supports at most 4096 completion tokens.",
                   "param": "max_tokens", "code": None}},
        "refused",
    ),
    ("Anthropic, overloaded", 529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded"),
    ("TGI, overloaded", 503, {"error": "Model is overloaded", "error_type": "overloaded"}, "overloaded"),
    ("OpenAI, its own fault", 500, {"error": {"message": "It had an error", "type": "server_error"}}, "trouble"),
    ("OpenRouter, an error as HTTP 200", 200, {"error": {"code": 502, "message": "Provider broke"}}, "trouble"),
    ("a rate limit as HTTP 200", 200, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, "limited"),
    ("a context as HTTP 200", 200, {"error": {"message": OVERLONG, "code": "context_length_exceeded"}}, "too_long"),
    (
        "OpenRouter, an error in a choice",
        200,
        {"choices": [{"error": {"code": 502, "message": "Upstream broke"}, "finish_reason": "error"}]},
        "trouble",
    ),
    ("a gateway", 400, {"message": "no"}, "refused"),
    ("a teapot", 418, {}, "refused"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "document", "what"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS]
)
def test_an_error_is_told_from_others(status: int, document: Any, what: str) -> None:
    try:
        found = reply(document, status).state
    except Fault as fault:
        found = fault.kind

    assert found == what


@pytest.mark.parametrize(
    ("message", "param", "name"),
    [
        ("Unsupported parameter: 'max_tokens' … Use 'max_completion_tokens' instead.", None, "max_tokens"),
        ("Unrecognized request argument supplied: seed", None, "seed"),
        ("`temperature` and `top_p` cannot both be specified for this model.", None, "top_p"),
        ("This model does not support it.", "top_logprobs", "top_logprobs"),
    ],
)
def test_the_parameter_at_fault_is_named(message: str, param: str | None, name: str) -> None:
    assert fault({"error": {"message": message, "param": param}}, 400).parameter == name


def test_an_error_page_is_not_repeated_at_length() -> None:
    with pytest.raises(Fault) as caught:
        read(502, {"content-type": "text/html"}, b"<html>" + b"Bad Gateway " * 1000)

    assert (caught.value.kind, caught.value.why) == ("trouble", "HTTP 502: a web page")


def test_a_redirect_says_where_to_but_no_secret_of_the_address() -> None:
    with pytest.raises(Fault) as caught:
        read(307, {"location": "https://me:pw@b.example/v1?token=1"}, b"")

    assert (caught.value.kind, caught.value.why) == ("moved", "HTTP 307 to https://b.example/v1")


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after": "20"}, "", 20.0),
        ({"retry-after": "0.5"}, "", 0.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, "", 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", 0.0),
        ({"retry-after": "-5"}, "", 0.0),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({}, "Please try again in 1m2.5s.", 62.5),
        ({}, "Please try again in 7m12s", 432.0),
        ({}, "Please try again in 120ms.", 0.12),
        ({}, "Please retry in 17.30897372s.", 17.30897372),
        ({}, "Please slow down.", None),
    ],
)
def test_how_long_an_endpoint_asks_to_wait(headers: dict[str, str], message: str, seconds: float | None) -> None:
    found = asked_wait(headers, Complaint(message=message))

    assert found == (None if seconds is None else pytest.approx(seconds))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([
            "choices", "message", "content", "error", "code", "type", "param", "usage", "prompt_tokens", "loc",
            "detail",
            "total_tokens", "refusal", "finish_reason", "text", "metadata", "reasons", "innererror", "object",
        ]) | st.text(max_size=4),
        inner,
        max_size=6,
    ),
    max_leaves=25,
)  # fmt: skip


@given(JSON, st.sampled_from([200, 200, 301, 400, 401, 403, 404, 413, 418, 422, 429, 500, 503, 600]))
def test_no_json_makes_reading_raise_anything_but_a_fault(document: Any, status: int) -> None:
    with suppress(Fault):
        found = read(status, {}, json.dumps(document).encode(), ("secret-0",))
        assert isinstance(found.text, str)
        assert all(count >= 0 for count in found.usage.values())


@given(st.binary(max_size=60), st.sampled_from([200, 400, 404, 429, 500]))
def test_no_bytes_make_reading_raise_anything_but_a_fault(body: bytes, status: int) -> None:
    with suppress(Fault):
        read(status, {}, body)


def test_a_key_that_is_sent_back_is_kept_nowhere() -> None:
    secret = "key-that-is-secret"
    document = completion({"content": f"You said {secret}!"}, debug={secret: [secret]})

    found = read(200, {}, json.dumps(document).encode(), (secret,))
    escaped = read(200, {}, json.dumps(document).replace("key-", r"k\u0065y-").encode(), (secret,))

    for one in (found, escaped):
        assert secret not in repr(one)
        assert one.text == "You said <removed>!"


def test_words_that_look_like_a_key_stay_in_a_reply() -> None:
    text = "pip install sk-learn-contrib-lightning"

    assert reply(completion({"content": text})).text == text
