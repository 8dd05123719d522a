"""What an endpoint says is wrong: OpenAI's error object, and the shapes that others have made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_LONGEST = 300  # characters of a message that are passed on


class Complaint(NamedTuple):
    """An error as an endpoint words it; what it does not say is empty."""

    message: str = ""
    code: str = ""
    type: str = ""
    parameter: str = ""
    """The one it finds fault with, if it names one by itself."""
    status: int = 0
    """Where it stands in a reply that is HTTP 200."""
    details: str = ""
    """Further words that tell kinds of errors apart; not for people."""

    @property
    def words(self) -> str:
        """All of it in lower case, to be searched."""
        return f"{self.code} {self.type} {self.details} {self.message}".lower()

    def __str__(self) -> str:
        return shortened(self.message or self.code or self.type)


def complaint_of(document: Any) -> Complaint | None:
    """The error in a reply's JSON; None where it has none.

    Shapes: `{"error": {message, type, param, code}}` (OpenAI, Azure, Anthropic, llama.cpp), the same in a list
    (Gemini), `{"error": "text"}` (Ollama, TGI), `{"object": "error", "message": …}` (vLLM before 0.10),
    `{"detail": "text"}` or `{"detail": [{loc, msg, type}]}` (FastAPI), `{"message": …}` (gateways), and an error in
    the first choice (OpenRouter).
    """
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, Mapping):
        return None
    error = document.get("error")
    if isinstance(error, Mapping):
        return _of(error)
    if isinstance(error, str) and error:
        return Complaint(message=error, type=str(document.get("error_type") or ""))
    if document.get("object") == "error" or (document.get("message") and "choices" not in document):
        return _of(document)
    if document.get("detail"):
        return _detail(document["detail"])
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, Mapping) and isinstance(first.get("error"), Mapping):
        return _of(first["error"])
    return None


def shortened(text: str) -> str:
    """A text on one line, no longer than a message should be."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _of(error: Mapping[str, Any]) -> Complaint:
    code = error.get("code")
    inner = error.get("innererror")
    details = [inner.get("code") if isinstance(inner, Mapping) else "", error.get("status"), error.get("details")]
    metadata = error.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("reasons"):
        details.append("flagged")  # OpenRouter's moderation
    return Complaint(
        message=_text(error.get("message")),
        code="" if code is None else str(code),
        type=_text(error.get("type")),
        parameter=_text(error.get("param")).rpartition(".")[2],
        status=code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599 else 0,
        details=" ".join(str(one) for one in details if one),
    )


def _detail(detail: Any) -> Complaint:
    if not isinstance(detail, list):
        return Complaint(message=_text(detail))
    faults = [one for one in detail if isinstance(one, Mapping)]
    places = [one["loc"][-1] if isinstance(one.get("loc"), list) and one["loc"] else "" for one in faults]
    return Complaint(
        message="; ".join(f"{place}: {one.get('msg', '')}" for place, one in zip(places, faults, strict=True)),
        type=" ".join(_text(one.get("type")) for one in faults),
        parameter=str(places[0]) if places else "",
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
