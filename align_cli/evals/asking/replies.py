"""What an endpoint sent back, read: a reply that counts, or a fault. Whatever the bytes, nothing else is raised."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from align_cli.evals.asking.complaints import Complaint, complaint_of, shortened
from align_cli.evals.asking.faults import Fault, Refusal, judged
from align_cli.evals.asking.outcome import State
from align_cli.recipe.secrets import REMOVED, scrub

_LONGEST_TEXT = 200  # characters of a body that is no JSON


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A reply that counts, for better or worse."""

    state: State
    why: str = ""
    text: str = ""
    document: Any = None
    usage: Mapping[str, int] = field(default_factory=dict)
    status: int = 200

    @property
    def is_error(self) -> bool:
        """Whether the endpoint, not the model, said no."""
        return self.status != 200


def read(status: int, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...] = ()) -> Reply:
    """The reply in an HTTP response; `headers` are found whatever their case, or are in lower case.

    `secrets` are taken out of it before anybody sees it: some servers send back what they were sent.

    Raises:
        Fault: it is none, or another attempt may give one.
    """
    if 300 <= status < 400:
        place = re.sub(r"[?#].*|(?<=//)[^/@]*@", "", headers.get("location") or "")
        raise Fault("moved", f"HTTP {status} to {scrub(place, secrets) or 'nowhere'}", status=status)
    try:
        try:
            document = _without(json.loads(body), secrets)
        except ValueError:
            return _not_json(status, headers, body, secrets)
        return _json(status, headers, document, secrets)
    except RecursionError:
        raise Fault("unusable", "the reply is JSON that is nested too deeply", status=status) from None


def _json(status: int, headers: Mapping[str, str], document: Any, secrets: tuple[str, ...]) -> Reply:
    complaint = complaint_of(document)
    if status == 200 and complaint is None:
        return _completion(document)
    complaint = complaint or Complaint()
    complaint = complaint._replace(message=scrub(complaint.message, secrets))
    meant = _meant(status, complaint)
    found = judged(meant, headers, complaint, has_json=True)
    if isinstance(found, Fault):
        raise found
    return Reply(state=found.state, why=found.why, document=document, status=meant)


def _meant(status: int, complaint: Complaint) -> int:
    """The status an error ought to have: some gateways send errors as HTTP 200."""
    if status != 200:
        return status
    if complaint.status:
        return complaint.status
    words = f"{complaint.code} {complaint.type}".lower()
    if "rate_limit" in words or "insufficient_quota" in words:
        return 429
    return 400 if "invalid" in words or "context_length" in words or "content_filter" in words else 500


def _not_json(status: int, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> Reply:
    text = scrub(body.decode("utf-8", "replace"), secrets)
    is_page = "html" in (headers.get("content-type") or "").lower() or text.lstrip()[:1] == "<"
    if status == 200:
        if not body:
            raise Fault("unusable", "the reply is empty", status=status)
        if is_page:
            raise Fault("unusable", "the reply is a web page, not JSON: is this the API's address?", status=status)
        raise Fault("lost", f"the reply is broken JSON, {len(body)} bytes", status=status)
    said = "a web page" if is_page else shortened(text)[:_LONGEST_TEXT]
    found = judged(status, headers, Complaint(message=said), has_json=False)
    if isinstance(found, Fault):
        raise found
    assert isinstance(found, Refusal)
    return Reply(state=found.state, why=found.why, status=status)


def _completion(document: Any) -> Reply:
    """A chat completion. https://platform.openai.com/docs/api-reference/chat/object."""
    usage = _usage(document)
    choices = document.get("choices") if isinstance(document, Mapping) else None
    if not isinstance(choices, list):
        raise Fault("unusable", "the reply is no chat completion: it has no choices", status=200, usage=usage)
    if not choices or not isinstance(choices[0], Mapping):
        raise Fault("unusable", "the reply's choices are empty", status=200, usage=usage)
    message = choices[0].get("message")
    message = message if isinstance(message, Mapping) else {}
    text, refusal = _words(message)
    finish = str(choices[0].get("finish_reason") or "").lower()
    known: dict[str, Any] = {"text": text or "", "document": document, "usage": usage}
    if refusal and not text:
        return Reply(state="refused", why=f"the model refuses: {shortened(refusal)}", **known)
    if finish.startswith("content_filter") or finish in ("safety", "recitation", "prohibited_content", "sensitive"):
        return Reply(state="filtered", why=f"the endpoint's content filter stopped the reply ({finish})", **known)
    if finish in ("length", "max_tokens"):
        return Reply(state="length", why=_cut(document, text), **known)
    if finish == "error":
        raise Fault("unusable", "the reply ends in an error", status=200, usage=usage)
    if text is None:
        raise Fault("unusable", "the reply has no content", status=200, usage=usage)
    return Reply(state="ok", **known)


def _words(message: Mapping[str, Any]) -> tuple[str | None, str]:
    """A message's text and its refusal. Text in parts is put together; thinking is no part of it."""
    content, refusal = message.get("content"), message.get("refusal")
    refused = refusal if isinstance(refusal, str) else ""
    if not isinstance(content, list):
        return (content if isinstance(content, str) else None), refused
    found: list[str] = []
    for part in content:
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, Mapping) and part.get("type") in ("text", "output_text", None):
            found.append(part["text"] if isinstance(part.get("text"), str) else "")
        elif isinstance(part, Mapping) and part.get("type") == "refusal":
            refused = refused or str(part.get("refusal") or "")
    return ("".join(found) if found else None), refused


def _cut(document: Mapping[str, Any], text: str | None) -> str:
    if text:
        return "cut at max_tokens"
    usage = document.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, Mapping) else None
    spent = _count(details, "reasoning_tokens") if isinstance(details, Mapping) else 0
    return "cut at max_tokens before its first word" + (f": {spent} tokens went into reasoning" if spent else "")


def _usage(document: Any) -> dict[str, int]:
    """Tokens; empty where the endpoint does not count them."""
    usage = document.get("usage") if isinstance(document, Mapping) else None
    if not isinstance(usage, Mapping) or "prompt_tokens" not in usage:
        return {}
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    # Gemini leaves what it thought out of completion_tokens, and bills it: total_tokens has it.
    return {"prompt_tokens": prompt, "completion_tokens": max(completion, _count(usage, "total_tokens") - prompt)}


def _count(mapping: Mapping[str, Any], name: str) -> int:
    found = mapping.get(name)
    return max(0, int(found)) if isinstance(found, int | float) and found == found and abs(found) < 1e15 else 0


def _without(value: Any, secrets: tuple[str, ...]) -> Any:
    """A JSON value without the secrets. Only they are looked for: a model's own words may look like anything."""
    if not secrets:
        return value
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, REMOVED)
        return value
    if isinstance(value, list):
        return [_without(one, secrets) for one in value]
    if isinstance(value, dict):
        return {_without(name, secrets): _without(one, secrets) for name, one in value.items()}
    return value
