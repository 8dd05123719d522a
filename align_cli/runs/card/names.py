"""What may be told of models and data by name: nothing about this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from align_cli.packages import SCHEME

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".arrow", ".txt", ".gz", ".gguf", ".jinja", ".yaml", ".yml")


def is_on_hub(name: str) -> bool:
    """Whether a name is that of a repository rather than of a file or folder here."""
    if not HUB_ID.fullmatch(name) or name.startswith((".", "-")) or name.lower().endswith(_SUFFIXES):
        return False
    return not Path(name).exists()


def public(name: str) -> str:
    """A Hub id or a package's file as it is; of a path here only the last part."""
    if is_on_hub(name) or name.startswith(SCHEME):
        return name
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def public_value(value: Any) -> Any:
    """A recipe's value, with paths of this machine cut to their last part, however deep they lie."""
    if isinstance(value, str):
        return (
            public(value) if value.startswith(("/", "~", "./", "../")) or re.match(r"[A-Za-z]:[\\/]", value) else value
        )
    if isinstance(value, list | tuple):
        return [public_value(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): public_value(item) for key, item in value.items()}
    return value


def link(name: str, kind: str = "") -> str:
    """A name for Markdown; `kind` is "datasets/" for data."""
    return f"[{name}](https://huggingface.co/{kind}{name})" if is_on_hub(name) else f"`{public(name)}`"


def base_of(recipe_name: str, facts: Mapping[str, Any]) -> str:
    """The model under all adapters: the chain's base, else what the recipe names."""
    chain = facts.get("chain")
    base = chain.get("base") if isinstance(chain, Mapping) else None
    name = base.get("name") if isinstance(base, Mapping) else base
    return str(name or recipe_name)
