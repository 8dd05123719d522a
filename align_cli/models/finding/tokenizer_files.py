"""A tokenizer's files as they lie: whose they are, their tokens and their chat template. No tokenizer is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.files import read_json
from align_cli.models.adapters.chains import Chain

_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")
_NAMES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")


def folder_of(chain: Chain) -> Path:
    """The last link that has a tokenizer of its own."""
    links = [link.folder for link in (*reversed(chain.adapters), chain.base)]
    return next((folder for folder in links if any((folder / name).is_file() for name in _NAMES)), links[-1])


def tokens(folder: Path) -> dict[str, int]:
    """Token -> id, added ones included; empty without a `tokenizer.json`.

    Special tokens that the file lacks get the next ids, as transformers gives them.
    """
    place = folder / "tokenizer.json"
    if not place.is_file():
        return {}
    try:
        said = read_json(place)
        vocabulary = said["model"]["vocab"]
        if isinstance(vocabulary, list):  # Unigram: pieces with their scores, in order
            vocabulary = {piece[0]: number for number, piece in enumerate(vocabulary)}
        found = {**vocabulary, **{one["content"]: one["id"] for one in said.get("added_tokens") or ()}}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as cause:
        raise UsageError(f"{place}: this tokenizer cannot be read", hint="fetch or save it again") from cause
    for text in special(folder).values():
        found.setdefault(text, max(found.values(), default=-1) + 1)
    return found


def special(folder: Path) -> dict[str, str]:
    """Name of a special token -> its text, where one is set."""
    config, fallback = json_of(folder / "tokenizer_config.json"), json_of(folder / "special_tokens_map.json")
    found = {}
    for name in _SPECIAL:
        value = config.get(name) or fallback.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            found[name] = text
    return found


def added(folder: Path) -> list[str]:
    """Tokens outside the learned merges."""
    return [one["content"] for one in json_of(folder / "tokenizer.json").get("added_tokens") or ()]


def template_of(folder: Path) -> tuple[str, str] | None:
    """The template and the name of the file it is in."""
    place = folder / "chat_template.jinja"
    if place.is_file():
        return place.read_text(encoding="utf-8"), place.name
    said = json_of(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(said, list):
        said = next((one["template"] for one in said if one.get("name") == "default"), None)
    return (said, "tokenizer_config.json") if isinstance(said, str) else None


def template_text(folder: Path) -> str | None:
    """The chat template of a tokenizer's folder: its own file before the config's, of several the default."""
    found = template_of(folder)
    return found[0] if found else None


def json_of(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file.

    Raises:
        UsageError: the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise UsageError(f"{path}: this is not JSON: {cause}", hint="fetch or save it again") from cause
    return value if isinstance(value, dict) else {}
