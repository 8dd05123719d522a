"""What must never reach a file or a message: tokens and keys, by the name they go under and by their shape."""

from __future__ import annotations

import re

#: Flat keys whose value is a secret, and the environment variable that carries it instead.
SECRET_KEYS = {"hub_token": "HF_TOKEN", "push_to_hub_token": "HF_TOKEN"}

_NAMES = re.compile(
    r"(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY)(_ID)?$", re.IGNORECASE
)
_SHAPES = re.compile(r"\b(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{12,})\b")
REMOVED = "<removed>"


def is_secret(name: str) -> bool:
    """Whether an environment variable's name says that its value is a secret."""
    return bool(_NAMES.search(name))


def scrub(text: str, values: tuple[str, ...] = ()) -> str:
    """`text` without the given secret values and without anything shaped like a known kind of token."""
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= 4:
            text = text.replace(value, REMOVED)
    return _SHAPES.sub(REMOVED, text)
